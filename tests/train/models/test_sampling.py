"""The spatial transformer against OpenCV's warp, and its gradient against finite differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

SIDE = 48


def smooth_picture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4.0) * 8


def warped(picture: np.ndarray, parameters: np.ndarray, reach: int) -> np.ndarray:
    """By OpenCV: the pixel at (x, y) of the result is read at the place that the two passes name."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    first, second = parameters.reshape(2, 3)

    def unit(place: np.ndarray) -> np.ndarray:
        return 2 * place / (SIDE - 1) - 1

    down = y + reach * (second[0] * unit(x) + second[1] * unit(y) + second[2])
    across = x + reach * (first[0] * unit(x) + first[1] * unit(down) + first[2])
    maps = across.astype(np.float32), down.astype(np.float32)
    return cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def sampled(pictures: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    import keras

    from fer_train.models.sampling import AffineSampling

    made = AffineSampling()(pictures[..., None], parameters.astype(np.float32))
    return np.asarray(keras.ops.convert_to_numpy(made))[..., 0]


def test_turns_scales_shears_and_moves_as_opencv_does() -> None:
    pictures = np.stack([smooth_picture(seed) for seed in range(64)])
    parameters = np.random.default_rng(0).uniform(-0.3, 0.3, (64, 6))
    inner = (slice(8, -8), slice(8, -8))
    made = sampled(pictures, parameters)[:, *inner]
    wanted = np.stack([warped(*pair, 8) for pair in zip(pictures, parameters, strict=True)])[:, *inner]
    # Two passes interpolate a little differently from one.
    assert np.std(made - wanted) < 0.05 * np.std(wanted)
    assert np.std(pictures[:, *inner] - wanted) > 0.3 * np.std(wanted), "leaving them as they are is not enough"


def test_zeros_change_nothing_and_a_whole_pixel_moves_it() -> None:
    from fer_train.models.sampling import AffineSampling

    picture = smooth_picture(0)
    # On a pixel the weights add up to a little more than between two, where most places lie.
    gain = (AffineSampling.HEIGHT / (2 * AffineSampling.HEIGHT - 1)) ** 2
    moved = np.zeros((3, 6))
    moved[1, 2] = 3 / 8  # three pixels from the right
    moved[2, 5] = -5 / 8  # five from above
    same, left, below = sampled(np.stack([picture] * 3), moved)
    np.testing.assert_allclose(same, gain * picture, atol=1e-5)
    np.testing.assert_allclose(left[:, :-3], gain * picture[:, 3:], atol=1e-5)
    assert not left[:, -3:].any(), "beyond the edge lies 0"
    np.testing.assert_allclose(below[5:], gain * picture[:-5], atol=1e-5)


def test_gradient_is_that_of_finite_differences() -> None:
    import tensorflow as tf

    from fer_train.models.sampling import AffineSampling

    layer, picture = AffineSampling(), smooth_picture(3)[None, ..., None]
    at = np.array([[0.11, -0.07, 0.21, 0.05, 0.13, -0.17]], np.float32)
    weights = smooth_picture(4)[None, ..., None]

    def loss(parameters: np.ndarray) -> float:
        return float(tf.reduce_sum(layer(picture, parameters) * weights))

    with tf.GradientTape() as tape:
        variable = tf.Variable(at)
        value = tf.reduce_sum(layer(picture, variable) * weights)
    found = tape.gradient(value, variable).numpy()[0]
    step = 1e-3
    units = np.eye(6, dtype=np.float32)
    differences = [(loss(at + step * unit) - loss(at - step * unit)) / (2 * step) for unit in units]
    assert np.abs(found).min() > 0
    # Linear interpolation has a kink at every pixel, so a difference is no exact slope.
    assert np.corrcoef(found, differences)[0, 1] > 0.99
