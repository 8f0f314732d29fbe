from __future__ import annotations

import numpy as np
import pytest

from fer_train.saliency import occlusion


def looks_at(top: int, left: int, size: int):
    """A network of two classes: the first is as probable as a square of the picture is bright."""

    def classify(images: np.ndarray) -> np.ndarray:
        bright = images[:, top : top + size, left : left + size].mean(axis=(1, 2)) / 255
        return np.stack([bright, 1 - bright], axis=1)

    return classify


def pictures(top: int, left: int, size: int) -> np.ndarray:
    images = np.zeros((2, 24, 24), np.uint8)
    images[:, top : top + size, left : left + size] = 255
    return images


@pytest.mark.parametrize(("top", "left"), [(0, 0), (8, 12), (20, 20)])
def test_the_map_peaks_where_the_network_looks(top: int, left: int) -> None:
    images = pictures(top, left, 4)
    found = occlusion(looks_at(top, left, 4), images, np.array([0, 1]), patch=4, stride=2)
    assert found.shape == (2, 24, 24) and found.dtype == np.float32
    row, column = np.unravel_index(found[0].argmax(), (24, 24))
    assert top <= row < top + 4 and left <= column < left + 4
    assert (found[0] >= 0).all() and (found[1] <= 0).all()
    far = np.ones((24, 24), bool)
    far[max(0, top - 4) : top + 8, max(0, left - 4) : left + 8] = False
    assert not found[0][far].any()


def test_what_is_lost_is_the_probability_itself() -> None:
    found = occlusion(looks_at(8, 8, 8), pictures(8, 8, 8), np.array([0, 0]), patch=8, stride=8)
    mean = round(255 * 64 / 576) / 255
    assert found[0, 8:16, 8:16] == pytest.approx(1 - mean)


def test_every_pixel_is_covered_whatever_the_stride() -> None:
    def indifferent(images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), 0.5)

    found = occlusion(indifferent, pictures(0, 0, 4), np.array([0, 0]), patch=7, stride=5)
    assert np.isfinite(found).all() and not found.any()


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (25, 1), (4, 5), (4, 0)])
def test_places_that_would_leave_pixels_out_are_refused(patch: int, stride: int) -> None:
    with pytest.raises(ValueError, match="patch"):
        occlusion(looks_at(0, 0, 4), pictures(0, 0, 4), np.array([0, 0]), patch=patch, stride=stride)
