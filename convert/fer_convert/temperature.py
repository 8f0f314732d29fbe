"""Temperature scaling inside the exported graph.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599:
logits divided by one number T make the probabilities as large as the network is often right, and
change no label. The division costs nothing at run time, since it goes into the last layer's weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import ModelFileError

if TYPE_CHECKING:
    import keras

LIMITS = (0.25, 4.0)
"""A network further off than this is not badly calibrated but broken."""


def fit(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the least negative log-likelihood of `labels`, within `LIMITS`.

    Args:
        probabilities: float32, (n, classes), of a softmax at temperature 1.
        labels: int64, (n,).
    """
    # A softmax's logits are its logarithms but for a constant of each row, which cancels out.
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, labels]))

    # The loss has one minimum in log T, so a golden-section search (Kiefer 1953) closes in on it.
    low, high = np.log(LIMITS[0]), np.log(LIMITS[1])
    share = (np.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        inner = high - share * (high - low), low + share * (high - low)
        if loss(inner[0]) < loss(inner[1]):
            high = inner[1]
        else:
            low = inner[0]
    return float(np.exp((low + high) / 2))


def scale(network: keras.Model, temperature: float) -> keras.Model:
    """A copy of `network` whose logits are divided by `temperature`.

    Raises:
        ModelFileError: nothing before its softmax can hold the division (`last_linear`).
    """
    if temperature == 1.0:
        return network
    scaled = type(network).from_config(network.get_config())
    scaled.set_weights(network.get_weights())
    layer = last_linear(scaled)
    if layer is None:
        raise ModelFileError(
            f"network {network.name!r} does not end in a dense or convolutional layer and a softmax, so its "
            "temperature cannot be set; convert it with --temperature 1"
        )
    layer.set_weights([weights / temperature for weights in layer.get_weights()])
    return scaled


def last_linear(network: keras.Model) -> keras.layers.Layer | None:
    """The layer whose outputs, pooled or reshaped at most, are the softmax's logits; None where there is none."""
    from keras import activations, layers

    def before(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.input._keras_history.operation

    last = network.layers[-1]
    softmax = isinstance(last, layers.Softmax) or (
        isinstance(last, layers.Activation) and last.activation is activations.softmax
    )
    layer = before(last) if softmax else last
    while isinstance(layer, layers.GlobalAveragePooling2D | layers.Flatten | layers.Reshape):
        layer = before(layer)
    wanted = activations.linear if softmax else activations.softmax
    linear = isinstance(layer, layers.Dense | layers.Conv2D) and layer.activation is wanted
    return layer if linear and (softmax or layer is last) else None
