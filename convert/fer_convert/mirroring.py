"""A network that sees every face twice: as it is and in its mirror image.

The mean of the two is right more often than one of them, for twice the time and not a
weight more: test-time augmentation (Krizhevsky, Sutskever and Hinton, "ImageNet Classification with
Deep Convolutional Neural Networks", 2012, section 4.1), written into the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fer_edge.contract.errors import ModelFileError

if TYPE_CHECKING:
    import keras


def mirrored(network: keras.Model) -> keras.Model:
    """A network whose logits are the mean of those for a picture and for its mirror image.

    Args:
        network: from (n, side, side, channels) to (n, classes), a softmax last.

    Returns:
        A model of the same shapes and weights.

    Raises:
        ModelFileError: its last layer is no softmax.
    """
    import keras
    from keras import layers, ops

    softmax = network.layers[-1]
    if not isinstance(softmax, layers.Softmax):
        raise ModelFileError(f"network {network.name!r} does not end in a Softmax layer; convert it with --no-mirror")
    faces = keras.Input(network.input_shape[1:], name="face")
    logits = keras.Model(network.inputs, softmax.input)
    # One batch of both, so that the flatbuffer holds the weights once.
    both = logits(ops.concatenate([faces, ops.flip(faces, axis=2)], axis=0), training=False)
    pairs = ops.reshape(both, (2, -1, network.output_shape[1]))
    return keras.Model(faces, softmax(ops.mean(pairs, axis=0)), name=network.name)
