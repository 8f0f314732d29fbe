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

ENOUGH = 500
"""On so many pictures a well calibrated network gets a temperature of 0.9 to 1.15; on 50 it may be 0.7 or 1.5."""


def fit(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature, within `LIMITS`, at which the mean confidence is as large as the accuracy on `labels`.

    Not the one of least log loss, as in the paper. That weighs the probabilities of all classes; events carry the
    largest one, and thresholds are set on it. Hebbalaguppe et al. 2022, arXiv:2203.13834, train on this difference
    of confidence and accuracy. docs/adr/0014 has what either temperature gives here.

    Args:
        probabilities: float32, (n, classes), of a softmax at temperature 1; of `ENOUGH` pictures or more.
        labels: int64, (n,).
    """
    # A softmax's logits are its logarithms but for a constant of each row, which cancels out.
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
    logits -= logits.max(axis=1, keepdims=True)
    accuracy = float(np.mean(probabilities.argmax(axis=1) == labels))
    # The mean confidence falls with T from 1 towards 1 / classes.
    low, high = np.log(LIMITS[0]), np.log(LIMITS[1])
    while high - low > 1e-4:
        middle = (low + high) / 2
        confidence = float(np.mean(1.0 / np.exp(logits / np.exp(middle)).sum(axis=1)))
        low, high = (middle, high) if confidence > accuracy else (low, middle)
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
