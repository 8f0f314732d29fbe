"""A network that sees every face twice: as it is and in its mirror image.

The mean of the two answers is right more often than one of them, for twice the time and not a
weight more: test-time augmentation (Krizhevsky, Sutskever and Hinton, "ImageNet Classification with
Deep Convolutional Neural Networks", 2012, section 4.1), written into the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def mirrored(network: keras.Model) -> keras.Model:
    """The mean of `network`'s probabilities for a picture and for its mirror image.

    Args:
        network: from (n, side, side, channels) to (n, classes).

    Returns:
        A model of the same shapes and weights.
    """
    import keras
    from keras import ops

    faces = keras.Input(network.input_shape[1:], name="face")
    # One batch of both, so that the flatbuffer holds the weights once.
    both = network(ops.concatenate([faces, ops.flip(faces, axis=2)], axis=0), training=False)
    pairs = ops.reshape(both, (2, -1, network.output_shape[1]))
    return keras.Model(faces, ops.mean(pairs, axis=0), name=network.name)
