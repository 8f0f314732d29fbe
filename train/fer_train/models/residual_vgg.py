"""A VGG-style network whose second convolution of each stage is a residual one.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015,
arXiv:1409.1556; identity shortcuts after He et al., "Deep Residual Learning", 2016, arXiv:1512.03385.
Plain 3x3 convolutions keep a processor's matrix units busy: at a hundred times mini-Xception's
multiply-adds a training step takes twice as long.
"""

from __future__ import annotations

import keras
from keras import layers

from fer_train.models.layers import BatchNormalization


def residual_vgg(
    *,
    classes: int,
    side: int = 48,
    filters: tuple[int, ...] = (32, 64, 128, 256),
    dropout: float = 0.4,
    batch_norm_momentum: float = 0.95,
) -> keras.Model:
    """Build the network: for each of `filters` two 3x3 convolutions and a halving max pooling.

    With the defaults and 7 classes: 1,176,359 parameters at a side of 48.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        filters: width of each stage.
        dropout: share of the pooled features that a training step leaves out.
        batch_norm_momentum: share of the running statistics that a step keeps.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.
    """

    def convolution(x: keras.KerasTensor, width: int, padding: str = "same") -> keras.KerasTensor:
        x = layers.Conv2D(width, 3, padding=padding, use_bias=False)(x)
        return layers.ReLU()(BatchNormalization(momentum=batch_norm_momentum)(x))

    inputs = layers.Input((side, side, 1), name="face")
    x = inputs
    for stage, width in enumerate(filters):
        # `valid` padding lets the exported rescaling fold into the first convolution.
        x = convolution(x, width, padding="valid" if stage == 0 else "same")
        x = layers.Add()([x, convolution(x, width)])
        x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(classes)(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities", dtype="float32")(x), name="residual_vgg")
