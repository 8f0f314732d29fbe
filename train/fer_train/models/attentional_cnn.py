"""A network that first looks where the face's expression is: Minaee, Minaei and Abdolrashidi, "Deep-Emotion:
Facial Expression Recognition Using Attentional Convolutional Network", 2021, arXiv:1902.01019, figure 2."""

from __future__ import annotations

import keras
from keras import layers

from fer_train.models.centering import MeanSubtraction
from fer_train.models.sampling import PARAMETERS, AffineSampling


def attentional_cnn(
    *,
    classes: int,
    side: int = 48,
    filters: int = 10,
    dense: int = 50,
    dropout: float = 0.5,
    l2: float = 0.001,
    reach: int = 8,
) -> keras.Model:
    """Build the network: a spatial transformer, then two pairs of 3x3 convolutions and two dense layers.

    The transformer's parameters come from two convolutions of 8 and `filters` filters, each with a halving
    max pooling, and two dense layers. With the defaults and 7 classes: 66,857 trained parameters.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        filters: of each of the four convolutions.
        dense: width of the first dense layer.
        dropout: share of the features that a training step leaves out before the first dense layer.
        l2: weight of the L2 penalty on all kernels but that of the transformer's parameters.
        reach: how far the transformer moves a pixel along each axis, in pixels.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None

    def convolution(x: keras.KerasTensor, width: int, kernel: int = 3) -> keras.KerasTensor:
        return layers.Conv2D(width, kernel, kernel_regularizer=penalty)(x)

    inputs = layers.Input((side, side, 1), name="face")
    face = MeanSubtraction()(inputs)
    x = face
    for width, kernel in ((8, 7), (filters, 5)):
        x = layers.ReLU()(layers.MaxPooling2D(2)(convolution(x, width, kernel)))
    x = layers.Dense(32, activation="relu", kernel_regularizer=penalty)(layers.Flatten()(x))
    # Near the identity but not at it, where sampling has no gradient.
    x = layers.Dense(PARAMETERS, kernel_initializer=keras.initializers.RandomNormal(stddev=0.02))(x)
    x = AffineSampling(reach)(face, x)
    for _ in range(2):
        x = layers.ReLU()(convolution(x, filters))
        x = layers.ReLU()(layers.MaxPooling2D(2)(convolution(x, filters)))
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    x = layers.Dense(dense, activation="relu", kernel_regularizer=penalty)(x)
    x = layers.Dense(classes, kernel_regularizer=penalty)(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities", dtype="float32")(x), name="attentional_cnn")
