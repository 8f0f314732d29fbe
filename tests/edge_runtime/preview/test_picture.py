"""The picture: a copy, blurred where asked, never larger than a page."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fer_edge.preview.picture import MAX_WIDTH, Snapshot, blur
from fer_edge.records import Frame


def frame(image: np.ndarray, **facts: object) -> Frame:
    return Frame(image=image, time=0.0, captured=0.0, source="test", **facts)  # type: ignore[arg-type]


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)


def noise(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_the_picture_is_a_copy_since_sources_reuse_their_buffers() -> None:
    image = np.full((120, 160, 3), 200, np.uint8)
    snapshot = Snapshot()
    snapshot.take(frame(image))
    image[:] = 0
    assert abs(float(decoded(snapshot.jpeg()).mean()) - 200) < 2
    assert snapshot.view == (0, 0, 160, 120)


@pytest.mark.parametrize("shape", [(120, 160), (120, 160, 3), (90, 50, 3), (1, 1)])
def test_frames_of_any_kind_one_after_the_other(shape: tuple[int, ...]) -> None:
    snapshot = Snapshot()
    for image in (noise(), np.full(shape, 50, np.uint8)):
        snapshot.take(frame(image))
    assert decoded(snapshot.jpeg()).shape == shape


def test_a_wide_picture_is_shrunk_and_keeps_its_shape() -> None:
    snapshot = Snapshot()
    snapshot.take(frame(np.zeros((1080, 1920), np.uint8)))
    assert decoded(snapshot.jpeg()).shape == (540, MAX_WIDTH)


def test_a_region_says_where_it_lies() -> None:
    snapshot = Snapshot()
    snapshot.take(frame(noise()[10:50, 20:100], offset=(20, 10), full_size=(160, 120)))
    assert snapshot.view == (20, 10, 80, 40)
    assert decoded(snapshot.jpeg([(40.0, 20.0, 20.0, 20.0)])).shape == (40, 80, 3)


@pytest.mark.parametrize("shape", [(480, 640, 3), (640, 480), (30, 20, 3)])
def test_a_blurred_picture_keeps_forty_cells_whether_a_face_was_found_or_not(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    snapshot = Snapshot()
    snapshot.take(frame(image))
    seen = decoded(snapshot.jpeg([]))
    cell = max(1.0, max(shape) / 40)
    # Between two cells the levels change slowly, however wild the picture was.
    assert np.abs(np.diff(seen.astype(int), axis=0)).mean() <= 74 / cell
    snapshot.take(frame(image))
    assert np.abs(np.diff(decoded(snapshot.jpeg()).astype(int), axis=0)).mean() > 50


def test_blurring_leaves_a_handful_of_cells_and_the_rest_as_it_was() -> None:
    image = noise()
    before = image.copy()
    blur(image, (40, 30, 40, 40))
    inside, outside = image[30:70, 40:80], np.ones(image.shape[:2], bool)
    outside[16:84, 26:94] = False
    assert (image[outside] == before[outside]).all()
    # What is left inside can be told from 6x6 numbers: neighbouring pixels differ by next to nothing.
    assert np.abs(np.diff(inside.astype(int), axis=0)).max() < 12
    assert np.abs(np.diff(before[30:70, 40:80].astype(int), axis=0)).mean() > 60


@pytest.mark.parametrize(
    "box", [(-500, -500, 10, 10), (150, 110, 500, 500), (-10, -10, 1e4, 1e4), (159.6, 5, 0.2, 0.2)]
)
def test_boxes_that_leave_the_picture(box: tuple[float, float, float, float]) -> None:
    image = noise()
    blur(image, box)
    assert image.shape == (120, 160, 3)
