"""The crop: right place, right size, padded and never squeezed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.faces.framing import crop, crop_gray, resized
from fer_edge.faces.haar import HaarDetector
from fer_edge.faces.yunet import YuNetDetector
from fer_edge.records import Framing

SIDE = 48


def gradient(height: int, width: int) -> np.ndarray:
    """A picture whose level tells the column."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


def test_square_is_centred_and_raised() -> None:
    assert Framing(scale=2.0, rise=0.1).square((10, 20, 100, 100)) == pytest.approx((-40, -40, 200, 200))


@pytest.mark.parametrize("detector", [HaarDetector, YuNetDetector])
def test_framing_constants_are_near_a_face_box(detector: type) -> None:
    assert 0.8 < detector.framing.scale < 1.4
    assert abs(detector.framing.rise) < 0.2


def test_a_square_of_the_networks_size_is_taken_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120), np.uint8)
    np.testing.assert_array_equal(crop_gray(image, (30, 20, SIDE, SIDE), SIDE), image[20:68, 30:78])


def test_colour_becomes_bt601_luma() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    expected = cv2.cvtColor(image[20:68, 30:78], cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(crop_gray(image, (30, 20, SIDE, SIDE), SIDE), expected)


def test_shrinking_averages_areas() -> None:
    checkered = np.indices((96, 96)).sum(axis=0) % 2 * 255
    crop = crop_gray(checkered.astype(np.uint8), (0, 0, 96, 96), SIDE)
    assert set(np.unique(crop)) <= {127, 128}, "nearest or linear sampling would keep 0 or 255"


@pytest.mark.parametrize("side", [96, 97, 150, 300, 364])
def test_what_shrinks_a_lot_keeps_its_place_and_its_mean(side: int) -> None:
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    picture = (255 * np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) / 0.02)).astype(np.uint8)
    small = resized(picture, (SIDE, SIDE)).astype(float)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    assert (small * columns).sum() / small.sum() == pytest.approx(0.3 * SIDE, abs=0.5)
    assert (small * rows).sum() / small.sum() == pytest.approx(0.6 * SIDE, abs=0.5)
    assert small.mean() == pytest.approx(picture.mean(), abs=1.5)


def test_a_crop_in_colour_has_the_levels_of_the_grey_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 120, 3), np.uint8)
    square = (-10.0, 7.0, 60.0, 60.0)
    coloured = crop(image, square, SIDE)
    assert coloured.shape == (SIDE, SIDE, 3)
    grey = cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY)
    np.testing.assert_allclose(grey.astype(int), crop_gray(image, square, SIDE).astype(int), atol=2)


def test_what_leaves_the_frame_is_padded_not_squeezed() -> None:
    image = gradient(96, 96)
    crop = crop_gray(image, (-48, 0, 96, 96), SIDE)
    assert (crop[:, :24] == crop[:, 24:25]).all(), "the left half repeats the edge"
    np.testing.assert_allclose(crop[0, 24:].astype(int), image[0, 0:48:2].astype(int), atol=4)


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), colour=st.booleans(),
    x=st.floats(-1e4, 1e4), y=st.floats(-1e4, 1e4), extent=st.floats(1e-3, 1e5), side=st.integers(1, 64),
)  # fmt: skip
def test_any_square_gives_a_crop_of_the_asked_size(
    height: int, width: int, colour: bool, x: float, y: float, extent: float, side: int
) -> None:
    shape = (height, width, 3) if colour else (height, width)
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    crop = crop_gray(image, (x, y, extent, extent), side)
    assert crop.shape == (side, side)
    assert crop.dtype == np.uint8
    assert image.min() <= crop.max(), "levels come from the picture"
    assert crop.min() >= 0
