from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_train.augmentation import Augmentation

OFF = {"rotation_degrees": 0.0, "shift": 0.0, "zoom": 0.0, "flip": False}


def blob(x: int, y: int) -> np.ndarray:
    image = np.zeros((1, 48, 48), np.uint8)
    image[0, y - 2 : y + 3, x - 2 : x + 3] = 200
    return image


def centre(image: np.ndarray) -> tuple[float, float]:
    y, x = np.indices(image.shape)
    return (x * image).sum() / image.sum(), (y * image).sum() / image.sum()


def test_all_off_changes_nothing() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    assert (Augmentation(**OFF)(images, np.random.default_rng(1)) == images).all()


def test_same_generator_same_views() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    change = Augmentation(contrast=0.3, brightness=0.2)
    first, again = (change(images, np.random.default_rng(7)) for _ in range(2))
    assert (first == again).all()
    assert (change(images, np.random.default_rng(8)) != first).any()


def test_flip_mirrors_about_half_of_the_pictures_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    views = Augmentation(**{**OFF, "flip": True})(np.repeat(image[None], 200, axis=0), np.random.default_rng(0))
    mirrored = (views == image[:, ::-1]).all(axis=(1, 2))
    assert ((views == image).all(axis=(1, 2)) | mirrored).all()
    assert 60 < mirrored.sum() < 140


@given(seed=st.integers(0, 2**32))
def test_shift_stays_within_its_limit(seed: int) -> None:
    view = Augmentation(**{**OFF, "shift": 0.1})(blob(24, 24), np.random.default_rng(seed))[0]
    x, y = centre(view.astype(float))
    assert abs(x - 24) <= 4.9 and abs(y - 24) <= 4.9


@given(seed=st.integers(0, 2**32))
def test_rotation_turns_about_the_centre_within_its_limit(seed: int) -> None:
    view = Augmentation(**{**OFF, "rotation_degrees": 10.0})(blob(40, 24), np.random.default_rng(seed))[0]
    x, y = centre(view.astype(float))
    assert np.hypot(x - 23.5, y - 23.5) == pytest.approx(np.hypot(16.5, 0.5), abs=0.3)
    assert abs(np.degrees(np.arctan2(y - 23.5, x - 23.5)) - np.degrees(np.arctan2(0.5, 16.5))) <= 10.5


def test_zoom_scales_about_the_centre_within_its_limit() -> None:
    views = Augmentation(**{**OFF, "zoom": 0.2})(np.repeat(blob(40, 24), 100, axis=0), np.random.default_rng(0))
    distances = [centre(view.astype(float))[0] - 23.5 for view in views]
    assert 0.79 * 16.5 < min(distances) < 0.9 * 16.5
    assert 1.1 * 16.5 < max(distances) < 1.21 * 16.5


def test_light_is_clipped_and_not_wrapped() -> None:
    images = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 255)]).repeat(50, axis=0)
    views = Augmentation(**OFF, contrast=0.5, brightness=0.3)(images, np.random.default_rng(0)).astype(int)
    assert views[:50].max() < 150 and views[50:].min() > 105
    assert len(np.unique(views[:50, 0, 0])) > 10


def test_erasing_fills_one_rectangle_of_its_share_with_one_level() -> None:
    images = np.tile(np.arange(48, dtype=np.uint8) * 5, (400, 48, 1))
    views = Augmentation(**OFF, erasing=0.25)(images, np.random.default_rng(0))
    changed = np.flatnonzero((views != images).any(axis=(1, 2)))
    assert 70 <= len(changed) <= 130
    for view in views[changed]:
        rows, columns = np.nonzero(view != images[0])
        block = view[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(block)) == 1
        assert 0.01 < block.size / view.size < 0.22


def test_pictures_without_erasing_have_the_views_they_had() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 48, 48), dtype=np.uint8)
    plain, erased = (Augmentation(erasing=share)(images, np.random.default_rng(3)) for share in (0.0, 0.3))
    same = (plain == erased).all(axis=(1, 2))
    assert 20 < same.sum() < 50


def test_shear_slants_vertical_edges_about_the_centre_and_no_others() -> None:
    image = np.zeros((48, 48), np.uint8)
    image[:, 22:26] = 200
    slanted = Augmentation(**{**OFF, "shear": 0.3})(np.repeat(image[None], 50, axis=0), np.random.default_rng(0))
    columns = np.arange(48)
    places = (slanted * columns).sum(axis=2) / slanted.sum(axis=2)
    slants = (places[:, 40] - places[:, 7]) / 33
    assert 0.2 < np.abs(slants).max() <= 0.31
    assert slants.min() < 0 < slants.max()
    np.testing.assert_allclose(places[:, 23:25].mean(axis=1), 23.5, atol=0.2)
    level = np.zeros((1, 48, 48), np.uint8)
    level[:, 22:26] = 200
    assert (Augmentation(**{**OFF, "shear": 0.3})(level, np.random.default_rng(0)) == level).all()


def detail(images: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(images.astype(float), axis=2)).mean(axis=(1, 2))


def test_blur_takes_detail_from_about_half_of_the_pictures() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 48, 48), dtype=np.uint8)
    change = Augmentation(**OFF, blur=1.5)
    worse = change.worsen(images, np.random.default_rng(1))
    blurred = (worse != images).any(axis=(1, 2))
    assert 60 < blurred.sum() < 140
    assert (detail(worse)[blurred] < detail(images)[blurred]).all()
    assert (change.worsen(images, np.random.default_rng(1)) == worse).all()
    assert (change(images, np.random.default_rng(1)) == images).all(), "the views themselves stay sharp"


def test_jpeg_leaves_the_face_and_takes_fine_grain() -> None:
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(48) * 3, np.arange(48) * 2).astype(np.uint8)
    images = np.repeat(smooth[None], 200, axis=0) + rng.integers(0, 8, (200, 48, 48), dtype=np.uint8)
    worse = Augmentation(**OFF, jpeg=25).worsen(images, np.random.default_rng(1))
    changed = (worse != images).any(axis=(1, 2))
    assert 60 < changed.sum() < 140
    assert np.abs(worse.astype(int) - images).max() < 40
    strongest = Augmentation(**OFF, jpeg=1).worsen(images, np.random.default_rng(1))
    assert np.abs(strongest.astype(int) - images).mean() > np.abs(worse.astype(int) - images).mean()


def test_darkness_takes_light_from_about_half_of_the_pictures() -> None:
    images = np.full((200, 48, 48), 100, np.uint8)
    worse = Augmentation(**OFF, darkness=0.7).worsen(images, np.random.default_rng(1))
    levels = worse.reshape(200, -1).mean(axis=1)
    assert 60 < (levels < 100).sum() < 140
    assert 30 <= levels.min() < 40 and levels.max() == 100


def test_nothing_is_worsened_unless_asked_for() -> None:
    images = np.zeros((3, 48, 48), np.uint8)
    assert Augmentation().worsen(images, np.random.default_rng(0)) is images
