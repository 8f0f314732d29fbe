"""Histograms of oriented gradients: a known edge votes for its own direction."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

SIDE = 48


def descriptors(pictures: np.ndarray) -> np.ndarray:
    import keras

    from fer_train.models.hog import OrientedGradients

    return np.asarray(keras.ops.convert_to_numpy(OrientedGradients()(pictures[..., None].astype(np.float32))))


def waves(degrees: float, contrast: float = 0.5) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    angle = np.deg2rad(degrees)
    return contrast * np.sin(0.8 * (x * np.cos(angle) + y * np.sin(angle)))


@pytest.mark.parametrize("bin_number", range(9))
def test_waves_vote_for_their_own_direction(bin_number: int) -> None:
    from fer_train.models.hog import OrientedGradients

    found = descriptors(waves(20.0 * bin_number)[None])[0]
    assert found.shape == (5, 5, 36)
    votes = found.reshape(5, 5, 4, 9).sum(axis=(0, 1, 2))
    assert votes.argmax() == bin_number
    away = np.abs(np.cos(np.deg2rad(20.0 * (np.arange(9) - bin_number))))
    wanted = np.maximum(away - OrientedGradients.SHARE, 0.0)
    np.testing.assert_allclose(votes / votes.sum(), wanted / wanted.sum(), atol=0.03)


def test_contrast_does_not_matter_and_blocks_have_unit_length() -> None:
    faint, strong = descriptors(np.stack([waves(33.0, 0.2), waves(33.0, 0.9)]))
    np.testing.assert_allclose(faint, strong, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(strong, axis=-1), 1.0, atol=1e-4)


def test_a_flat_picture_stays_at_zero() -> None:
    assert np.abs(descriptors(np.full((1, SIDE, SIDE), 0.3))).max() < 1e-4


def test_blocks_hold_their_four_cells() -> None:
    picture = np.zeros((1, SIDE, SIDE))
    picture[0, 18:22, 26:28] = 1.0  # wholly in the cell of row 2 and column 3
    energy = np.linalg.norm(descriptors(picture)[0].reshape(5, 5, 4, 9), axis=-1)
    places = {(row, column, cell) for row, column, cell in np.argwhere(energy > 0).tolist()}
    assert places == {(2, 3, 0), (2, 2, 1), (1, 3, 2), (1, 2, 3)}
