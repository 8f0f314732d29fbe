"""Learnt and hand-made features together: Alizadeh and Fazel, "Convolutional Neural Networks for Facial
Expression Recognition", 2017, arXiv:1704.06756."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from fer_train.models.hog import OrientedGradients
from fer_train.models.plain_cnn import convolutional, dense_head


def hog_cnn(
    *,
    classes: int,
    side: int = 48,
    convolutions: Sequence[tuple[int, int]] = ((32, 3), (64, 3), (128, 3)),
    dense: Sequence[int] = (256,),
    dropout: float = 0.25,
    dense_dropout: float = 0.5,
    orientations: int = 9,
    cell: int = 8,
    batch_norm_momentum: float = 0.99,
) -> keras.Model:
    """Build the network: `plain_cnn` whose dense layers see histograms of oriented gradients too.

    With the defaults and 7 classes: 1,144,807 trained parameters.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        convolutions, dense, dropout, dense_dropout, batch_norm_momentum: as for `plain_cnn`.
        orientations, cell: as for `OrientedGradients`.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.
    """
    inputs = layers.Input((side, side, 1), name="face")
    learnt = convolutional(inputs, convolutions, dropout=dropout, momentum=batch_norm_momentum)
    gradients = OrientedGradients(orientations, cell)(inputs)
    x = layers.Concatenate()([layers.Flatten()(learnt), layers.Flatten()(gradients)])
    outputs = dense_head(x, dense, classes, dropout=dense_dropout, momentum=batch_norm_momentum)
    return keras.Model(inputs, outputs, name="hog_cnn")
