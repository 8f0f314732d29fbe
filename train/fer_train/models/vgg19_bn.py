"""VGG-19 with batch normalization: Simonyan and Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition", 2015, arXiv:1409.1556, configuration E; Ioffe and Szegedy 2015."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from keras import layers

from fer_train.models.imagenet import load_features
from fer_train.models.layers import BatchNormalization


def vgg19_bn(
    *,
    classes: int,
    side: int = 48,
    filters: Sequence[int] = (64, 128, 256, 512, 512),
    repeats: Sequence[int] = (2, 2, 4, 4, 4),
    dense: int = 512,
    dropout: float = 0.3,
    batch_norm_momentum: float = 0.9,
    weights: str = "",
) -> keras.Model:
    """Build the network: stages of 3x3 convolutions, each ended by a halving max pooling, and a small head.

    With the defaults and 7 classes: 20,300,487 trained parameters at a side of 48.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        filters: of the convolutions of each stage.
        repeats: convolutions of each stage.
        dense: width of the dense layer before the last.
        dropout: share of the features that a training step leaves out before and after it.
        batch_norm_momentum: share of the running statistics that a step keeps.
        weights: a .safetensors file of ImageNet weights to begin with (`imagenet.load_features`); none
            begins at random.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.

    Raises:
        DataError: the weight file is missing, damaged, or of another network.
    """
    inputs = layers.Input((side, side, 1), name="face")
    x = inputs
    stem = []
    for stage, (width, count) in enumerate(zip(filters, repeats, strict=True)):
        for number in range(count):
            # `valid` padding lets the exported rescaling fold into the first convolution.
            padding = "same" if stage or number else "valid"
            convolution = layers.Conv2D(width, 3, padding=padding)
            norm = BatchNormalization(momentum=batch_norm_momentum, epsilon=1e-5)
            x = layers.ReLU()(norm(convolution(x)))
            stem.append((convolution, norm))
        x = layers.MaxPooling2D(2)(x)
    if weights:
        load_features(Path(weights), stem, repeats)
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    x = layers.Dropout(dropout)(layers.Dense(dense, activation="relu")(x))
    x = layers.Dense(classes)(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities", dtype="float32")(x), name="vgg19_bn")
