"""Real detectors on real and on impossible pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import DetectorError
from fer_edge.faces import open_detector, weights
from fer_edge.faces.haar import HaarDetector
from fer_edge.faces.yunet import YuNetDetector
from fer_edge.records import Detection, Frame


def frame(image: np.ndarray, small: np.ndarray | None = None) -> Frame:
    return Frame(image=image, time=0.0, captured=0.0, source="test", small=small)


@pytest.fixture(scope="module")
def yunet_weights(fer_data: Path) -> Path:
    return fer_data / "models" / weights.YUNET_FILE


@pytest.fixture(scope="module")
def book(fer_data: Path) -> list[np.ndarray]:
    """Every tenth frame of a clip with one face."""
    clip = cv2.VideoCapture(str(fer_data / "faces" / "book.mkv"))
    frames = []
    while (answer := clip.read())[0]:
        frames.append(answer[1])
    return frames[::10]


@pytest.fixture
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / "fer-edge"


def test_haar_finds_the_face_of_a_clip(book: list[np.ndarray]) -> None:
    found = [HaarDetector().scan(frame(image)) for image in book]
    assert sum(len(faces) == 1 for faces in found) >= 0.9 * len(book)


def test_yunet_boxes_are_in_the_frames_own_pixels_whatever_it_looks_at(
    book: list[np.ndarray], yunet_weights: Path
) -> None:
    full = YuNetDetector(yunet_weights, width=640, quantized=False)
    half = YuNetDetector(yunet_weights, width=320, quantized=False)
    for image in book:
        (large,), (small,) = full.scan(frame(image)), half.scan(frame(image))
        lores = cv2.cvtColor(cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        (gray,) = half.scan(frame(image, lores))
        for other in (small, gray):
            np.testing.assert_allclose(other.box, large.box, atol=0.12 * large.box[2])
            assert other.eyes is not None
            assert other.eyes[0][0] < other.eyes[1][0]
            x, y, width, height = other.box
            assert all(x < ex < x + width and y < ey < y + height / 2 + 10 for ex, ey in other.eyes)


@pytest.mark.parametrize("name", ["haar", "yunet"])
@pytest.mark.parametrize("size", [(640, 480), (900, 700)])
def test_a_scan_of_the_mirror_image_finds_the_face_where_it_is(
    book: list[np.ndarray], size: tuple[int, int], name: str, request: pytest.FixtureRequest
) -> None:
    detector = HaarDetector() if name == "haar" else YuNetDetector(request.getfixturevalue("yunet_weights"))
    for image in book[:3]:
        seen = frame(cv2.resize(image, size))
        (straight,), (mirrored,) = detector.scan(seen), detector.prepare_scan(seen, mirrored=True)()
        np.testing.assert_allclose(mirrored.box, straight.box, atol=0.12 * straight.box[2])
        for a, b in zip(mirrored.eyes or (), straight.eyes or (), strict=True):
            np.testing.assert_allclose(a, b, atol=0.1 * straight.box[2])


@pytest.mark.parametrize("shape", [(1, 1), (1, 640, 3), (480, 1), (7, 9, 3), (480, 640), (1080, 1920, 3)])
@pytest.mark.parametrize("name", ["haar", "yunet"])
def test_any_frame_size_is_looked_at(shape: tuple[int, ...], name: str, request: pytest.FixtureRequest) -> None:
    detector = HaarDetector() if name == "haar" else YuNetDetector(request.getfixturevalue("yunet_weights"))
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert all(isinstance(found, Detection) for found in detector.scan(frame(image)))


def test_the_smallest_face_is_respected(book: list[np.ndarray], yunet_weights: Path) -> None:
    (found,) = YuNetDetector(yunet_weights).scan(frame(book[0]))
    assert not YuNetDetector(yunet_weights, min_face=int(max(found.box[2:])) + 20).scan(frame(book[0]))


def test_auto_is_haar_without_weights_and_says_so(
    own_data_folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fer_edge.faces.find_yunet", lambda: None)
    assert open_detector("auto").name == "haar"
    assert "fer-edge model pull yunet" in caplog.text
    with pytest.raises(DetectorError, match="fer-edge model pull yunet"):
        open_detector("yunet")


def test_auto_is_yunet_with_weights(own_data_folder: Path, yunet_weights: Path) -> None:
    weights.pull_yunet(yunet_weights.as_uri())
    assert open_detector("auto").name == "yunet"


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a network")
    with pytest.raises(DetectorError, match=r"x\.onnx"):
        YuNetDetector(tmp_path / "x.onnx")
