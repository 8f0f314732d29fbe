"""Training on several devices at once, through Keras' own distribution API."""

from __future__ import annotations

from typing import Any

import keras

from fer_edge.contract.errors import UsageError


def use_devices(count: int, *, batch_size: int) -> None:
    """Let networks that are built from now on split every batch between `count` devices.

    Every device holds all weights and computes its share of the batch; the results are those of one
    device up to rounding.

    Args:
        count: the first of those Keras finds, GPUs or TPUs before CPUs; 1 changes nothing.
        batch_size: of the training.

    Raises:
        UsageError: Keras' backend cannot, there are fewer devices, or the batch does not divide evenly.
    """
    if count == 1:
        return
    backend = keras.backend.backend()
    # On TensorFlow the same calls run, and train on one device alone.
    if backend != "jax":
        raise UsageError(
            f"--devices {count} needs Keras on JAX, and it runs on {backend}: install jax with support for your "
            "devices and set KERAS_BACKEND=jax"
        )
    found = keras.distribution.list_devices()
    if count > len(found):
        raise UsageError(f"--devices {count} is more than the {len(found)} there are: {', '.join(found)}")
    if batch_size % count:
        raise UsageError(f"batches of {batch_size} pictures cannot be split evenly between --devices {count}")
    keras.distribution.set_distribution(_DataParallel(devices=found[:count]))


class _DataParallel(keras.distribution.DataParallel):
    def get_data_layout(self, data_shape: tuple[int, ...]) -> Any:
        if data_shape[0] % self.device_mesh.devices.size == 0:
            return super().get_data_layout(data_shape)
        # The last batch of a validation is what is left over; every device computes all of it.
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
