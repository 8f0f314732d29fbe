"""Histograms of oriented gradients inside the graph, of operators that survive int8.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("fer_train")
class OrientedGradients(keras.layers.Layer):
    """Descriptors of overlapping blocks of 2x2 cells, each of unit length.

    A pixel's gradient is projected on `orientations` directions over half a turn, and votes for those
    near its own: where the arctangent would choose one, projections within 30 % of the largest share
    the vote, in proportion to how near they come. An int8 graph has neither arctangent nor one-hot.

    Args:
        orientations: directions, from 0 to 180 degrees.
        cell: width and height of a cell in pixels.

    Call arguments: pictures (n, side, side, 1).

    Returns:
        (n, rows, columns, 4 * orientations), float32, each vector of length at most 1.
    """

    SHARE = 0.7
    # Of a block's squared length, below which it is flat and stays short: one grey level in 255 of [-1, 1].
    FLAT = (2.0 / 255.0) ** 2

    def __init__(self, orientations: int = 9, cell: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.orientations, self.cell = orientations, cell

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        def fixed(name: str, values: np.ndarray) -> Any:
            return self.add_weight(
                name=name, shape=values.shape, trainable=False,
                initializer=lambda shape, dtype=None: values.astype(np.float32),
            )  # fmt: skip

        angles = np.pi * np.arange(self.orientations) / self.orientations
        across = np.array([[0, 0, 0], [-0.5, 0, 0.5], [0, 0, 0]])
        projections = across[..., None] * np.cos(angles) + across.T[..., None] * np.sin(angles)
        self.projections = fixed("projections", projections[:, :, None, :])
        # Four shifted copies of the cells, side by side: the neighbours that make a block.
        self.corners = fixed("corners", np.eye(4 * self.orientations).reshape(2, 2, self.orientations, -1))

    def call(self, pictures: Any) -> Any:
        gradients = ops.abs(ops.conv(pictures, self.projections))
        largest = ops.max(gradients, axis=-1, keepdims=True)
        votes = ops.relu(gradients - self.SHARE * largest)
        cells = ops.average_pool(votes, self.cell, strides=self.cell, padding="same")
        blocks = ops.conv(cells, self.corners)
        energy = ops.sum(ops.square(blocks), axis=-1, keepdims=True)
        # In this form, and no other, TFLite knows its own L2 normalization; a division dies at invoke.
        return blocks * ops.rsqrt(ops.maximum(energy, self.FLAT))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "orientations": self.orientations, "cell": self.cell}
