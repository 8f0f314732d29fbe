"""A spatial transformer of operators that survive int8: convolutions, clips, products and sums.

Jaderberg et al., "Spatial Transformer Networks", 2015, arXiv:1506.02025. Sampling by gathering pixels has
no int8 kernel; here every output pixel is a weighted sum of its neighbours, with bilinear weights.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PARAMETERS = 6
"""Of an affine transform: three for where a row is read, three for where a column is."""


@keras.saving.register_keras_serializable("fer_train")
class AffineSampling(keras.layers.Layer):
    """Turn, shear, scale and move pictures by six numbers each, in two passes of linear interpolation.

    The first pass reads each row at x + r (a1 u + a2 v + a3), the second each column of the result at
    y + r (b1 u + b2 v + b3), where u and v run from -1 to 1 over the picture and r is `reach`; together
    any affine transform that does not fold the picture over (Catmull and Smith, "3-D transformations of
    images in scanline order", 1980). Beyond the edge lies 0.

    Args:
        reach: how far a pixel may come from along each axis, in pixels; what is asked beyond is clipped.

    Call arguments: pictures (n, side, side, 1), and parameters (n, 6): a1, a2, a3, b1, b2, b3. Zeros change
    nothing, but have no gradient either: begin near them.
    """

    # Two clipped int8 distances of one do not cancel to exactly zero; with less than one they do, and
    # all pixels out of reach weigh nothing.
    HEIGHT = 1.0 - 1.0 / 64.0

    def __init__(self, reach: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.reach = reach

    def build(self, pictures_shape: tuple[int | None, ...], parameters_shape: tuple[int | None, ...]) -> None:
        height, width = pictures_shape[1:3]
        taps = 2 * self.reach + 1

        def fixed(name: str, values: np.ndarray) -> Any:
            return self.add_weight(
                name=name, shape=values.shape, trainable=False, initializer=lambda shape, dtype=None: values
            )

        v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
        self.plane = fixed("plane", np.stack([u.ravel(), v.ravel(), np.ones(u.size)]).astype(np.float32))
        # From an offset in units of `reach` to its distance in pixels from each tap.
        self.unit = fixed("unit", np.full((1, 1, 1, taps), self.reach, np.float32))
        self.places = fixed("places", np.arange(-self.reach, self.reach + 1, dtype=np.float32))
        shifts = np.eye(taps, dtype=np.float32)
        self.shifts = [fixed("right", shifts[None, :, None, :]), fixed("down", shifts[:, None, None, :])]
        # Between two pixels the weights add up to 2 * HEIGHT - 1.
        self.total = fixed("total", np.full((1, 1, taps, 1), 1.0 / (2.0 * self.HEIGHT - 1.0), np.float32))

    def call(self, pictures: Any, parameters: Any) -> Any:
        height, width = pictures.shape[1:3]
        for half, shifts in enumerate(self.shifts):
            offsets = ops.matmul(parameters[:, 3 * half : 3 * half + 3], self.plane)
            # In [-1, 1] an int8 step is 1/128 of the reach: no int8 tensor holds whole picture widths.
            offsets = ops.reshape(ops.clip(offsets, -1.0, 1.0), (-1, height, width, 1))
            distances = ops.clip(ops.conv(offsets, self.unit, padding="same") - self.places, -1.0, 1.0)
            weights = ops.relu(self.HEIGHT - ops.abs(distances))
            neighbours = ops.conv(pictures, shifts, padding="same")
            pictures = ops.conv(neighbours * weights, self.total, padding="same")
        return pictures

    def compute_output_shape(
        self, pictures_shape: tuple[int | None, ...], parameters_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return pictures_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reach": self.reach}
