"""Input whose mean over the training pictures is zero."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("fer_train")
class MeanSubtraction(keras.layers.Layer):
    """Subtracts the mean of all training pixels: one number, so that it folds into what follows.

    The number is 0 until `adapt` has seen the pictures, and is saved with the weights.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.mean = self.add_weight(name="mean", shape=(), initializer="zeros", trainable=False)

    def adapt(self, pictures: NDArray[np.float32]) -> None:
        """Set the mean to that of `pictures` (float32, any shape)."""
        self.mean.assign(pictures.mean(dtype=np.float64))

    def call(self, inputs: Any) -> Any:
        return inputs - self.mean
