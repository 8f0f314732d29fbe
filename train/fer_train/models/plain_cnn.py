"""Convolutions one after the other, then dense layers: the networks most projects on FER2013 begin with."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from fer_train.models.layers import BatchNormalization


def plain_cnn(
    *,
    classes: int,
    side: int = 48,
    convolutions: Sequence[tuple[int, int]] = (),
    dense: Sequence[int] = (),
    dropout: float = 0.25,
    dense_dropout: float = 0.5,
    batch_norm_momentum: float = 0.99,
) -> keras.Model:
    """Build the network: batch normalization, ReLU, a halving max pooling and dropout after each convolution.

    Without convolutions and dense layers it is one dense layer on pixels: softmax regression.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        convolutions: number of filters and kernel size of each.
        dense: width of each dense layer before the last, with batch normalization, ReLU and dropout behind it.
        dropout: share of the features that a training step leaves out after each convolution.
        dense_dropout: the same after each of `dense`.
        batch_norm_momentum: share of the running statistics that a step keeps.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.
    """
    inputs = layers.Input((side, side, 1), name="face")
    x = convolutional(inputs, convolutions, dropout=dropout, momentum=batch_norm_momentum)
    outputs = dense_head(layers.Flatten()(x), dense, classes, dropout=dense_dropout, momentum=batch_norm_momentum)
    return keras.Model(inputs, outputs, name="plain_cnn")


def convolutional(
    x: keras.KerasTensor, convolutions: Sequence[tuple[int, int]], *, dropout: float, momentum: float
) -> keras.KerasTensor:
    """The feature maps (n, height, width, filters) of pictures `x`, behind the last dropout."""
    for stage, (width, kernel) in enumerate(convolutions):
        # `valid` padding lets the exported rescaling fold into the first convolution.
        x = layers.Conv2D(width, kernel, padding="same" if stage else "valid", use_bias=False)(x)
        x = layers.MaxPooling2D(2)(layers.ReLU()(BatchNormalization(momentum=momentum)(x)))
        x = layers.Dropout(dropout)(x)
    return x


def dense_head(
    x: keras.KerasTensor, dense: Sequence[int], classes: int, *, dropout: float, momentum: float
) -> keras.KerasTensor:
    """Probabilities (n, classes) of features `x` (n, features)."""
    for width in dense:
        x = layers.Dense(width, use_bias=False)(x)
        x = layers.Dropout(dropout)(layers.ReLU()(BatchNormalization(momentum=momentum)(x)))
    return layers.Softmax(name="probabilities", dtype="float32")(layers.Dense(classes)(x))
