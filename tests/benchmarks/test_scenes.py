import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench import scenes
from fer_bench.scenes import Placement, Stage
from fer_edge.faces.framing import crop_gray
from fer_edge.records import Framing
from fer_train.datasets import Split


@pytest.fixture
def picture():
    """Smooth, as photographs are."""
    rows, columns = np.mgrid[0:48, 0:48]
    return (128 + 60 * np.sin(rows / 9) + 50 * np.cos(columns / 7)).astype(np.uint8)


@pytest.mark.parametrize("side", [120.0, 213.7, 300.0])
def test_the_square_of_a_placement_crops_the_picture_back(picture, side):
    placement = Placement(side=side, x=57.3, y=81.6, dx=1.4, dy=-0.7, roll=0.0, seed=3)
    frames = Stage().frames(picture, placement, 5.0)
    assert [frame.image.shape for frame in frames] == [(480, 640)] * scenes.FRAMES
    assert [round(frame.captured - 5.0, 4) for frame in frames] == [0.0, 0.0333, 0.0667, 0.1]
    for number, frame in enumerate(frames):
        square = placement.square(number + 1 - scenes.FRAMES)
        error = np.abs(crop_gray(frame.image, square, 48).astype(int) - picture)
        # The crop's corner is rounded to whole pixels of the scene, and the camera is noisy.
        assert error.mean() < 4
        shifted = (square[0] + side / 12, *square[1:])
        assert np.abs(crop_gray(frame.image, shifted, 48).astype(int) - picture).mean() > 2 * error.mean()


def test_a_rolled_picture_is_turned_counter_clockwise_about_its_centre():
    picture = np.full((48, 48), 60, np.uint8)
    picture[:, 40:] = 220
    placement = Placement(side=200.0, x=220.0, y=140.0, dx=0.0, dy=0.0, roll=90.0, seed=0)
    image = Stage().frames(picture, placement, 0.0)[-1].image
    assert image[150:165, 240:400].mean() > 200
    assert image[180:330, 240:400].mean() < 80


def test_scenes_are_seeded_and_independent_of_their_number():
    assert scenes.placements(5, 7) == scenes.placements(9, 7)[:5]
    assert scenes.placements(5, 7) != scenes.placements(5, 8)
    picture = np.full((48, 48), 90, np.uint8)
    placement = scenes.placements(1, 7)[0]
    first, second = (Stage().frames(picture, placement, 0.0) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


@given(st.integers(0, 10_000), st.floats(0, 45))
def test_the_whole_picture_is_in_every_frame(seed, roll):
    for placement in scenes.placements(3, seed, roll=roll):
        assert scenes.SIDES[0] <= placement.side <= scenes.SIDES[1]
        assert abs(placement.roll) <= roll
        angle = np.deg2rad(placement.roll)
        half = placement.side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle)))
        for ahead in range(1 - scenes.FRAMES, 1):
            x, y, side, _ = placement.square(ahead)
            assert half - 1e-6 <= x + side / 2 <= 640 - half + 1e-6
            assert half - 1e-6 <= y + side / 2 <= 480 - half + 1e-6


def test_the_best_match_shares_most_and_enough():
    truth = (100.0, 100.0, 100.0, 100.0)
    inside, beside = (110.0, 110.0, 80.0, 80.0), (190.0, 100.0, 100.0, 100.0)
    assert scenes.best_match([beside, inside], truth) == 1
    assert scenes.best_match([beside], truth) is None
    assert scenes.best_match([], truth) is None
    assert Framing(1.25, 0.0).square(inside) == truth


def test_a_sample_is_stratified_seeded_and_in_order():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    images = np.zeros((1000, 2, 2), np.uint8)
    split = Split(images, labels, tuple(str(n) for n in range(1000)))
    drawn = scenes.sample(split, 100, 0)
    assert np.abs(np.bincount(drawn.labels) - [60, 30, 10]).max() <= 1
    numbers = [int(name) for name in drawn.names]
    assert numbers == sorted(set(numbers))
    assert drawn.names == scenes.sample(split, 100, 0).names != scenes.sample(split, 100, 1).names
    assert scenes.sample(split, None, 0) is split
    assert scenes.sample(split, 1000, 0) is split
