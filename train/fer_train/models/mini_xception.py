"""mini-Xception: Arriaga, Valdenegro-Toro and Ploeger, "Real-time Convolutional Neural Networks for
Emotion and Gender Classification", 2017, arXiv:1710.07557, figure 4."""

from __future__ import annotations

from itertools import zip_longest

import keras
from keras import layers

from fer_train.models.layers import BatchNormalization


def mini_xception(
    *,
    classes: int,
    side: int = 48,
    l2: float = 0.01,
    batch_norm_momentum: float = 0.99,
    stem: tuple[int, ...] = (8, 8),
    filters: tuple[int, ...] = (16, 32, 64, 128),
    repeats: tuple[int, ...] = (),
    head: str = "convolution",
) -> keras.Model:
    """Build mini-Xception.

    Two plain 3x3 convolutions of 8 filters, one residual module of two depthwise-separable
    convolutions and a max pooling for each of `filters`, then a 3x3 convolution with one filter a
    class, global average pooling and softmax. With the defaults and 7 classes: 58,423 parameters.

    Xception itself (Chollet 2017, arXiv:1610.02357) repeats residual modules without pooling at its
    middle size and ends in global average pooling and one dense layer; `repeats` and `head` bring both back.

    Args:
        classes: number of outputs.
        side: width and height of the input in pixels.
        l2: weight of the L2 penalty on the two plain convolutions. The published code passes it to
            the separable ones too, where the Keras of its day ignored it.
        batch_norm_momentum: share of the running statistics that a step keeps.
        stem: width of each plain convolution.
        filters: width of each residual module.
        repeats: how many residual modules of the same width, without a pooling, follow each of them;
            the last ones may be left out.
        head: `convolution` as published, or `dense`.

    Returns:
        A model from (n, side, side, 1) float32 in [-1, 1] to (n, classes) probabilities.
    """

    def norm() -> keras.layers.Layer:
        return BatchNormalization(momentum=batch_norm_momentum)

    def separable(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        return norm()(layers.Conv2D(width, 1, use_bias=False)(x))

    if len(repeats) > len(filters):
        raise ValueError(f"{len(repeats)} repeats for {len(filters)} filters")
    inputs = layers.Input((side, side, 1), name="face")
    x = inputs
    for width in stem:
        # `valid` padding lets the exported rescaling fold into the first convolution.
        x = layers.Conv2D(width, 3, use_bias=False, kernel_regularizer=keras.regularizers.L2(l2) if l2 else None)(x)
        x = layers.ReLU()(norm()(x))
    for width, extra in zip_longest(filters, repeats, fillvalue=0):
        shortcut = norm()(layers.Conv2D(width, 1, strides=2, padding="same", use_bias=False)(x))
        x = layers.ReLU()(separable(x, width))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(separable(x, width))
        x = layers.Add()([x, shortcut])
        for _ in range(extra):
            x = layers.Add()([x, separable(layers.ReLU()(separable(layers.ReLU()(x), width)), width)])
    if head == "dense":
        x = layers.Dense(classes)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
    elif head == "convolution":
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(classes, 3, padding="same")(x))
    else:
        raise ValueError(f"head {head!r} is neither convolution nor dense")
    return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="mini_xception")
