import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames import SourceOptions, open_source
from fer_edge.frames.stills import Stills
from fer_edge.records import Frame


def save(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture)
    return path


def all_of(source: Stills) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


GRAY = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40).astype(np.uint8)
BGR = np.dstack([GRAY, GRAY.T.reshape(48, 40), 255 - GRAY])


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (GRAY, GRAY),
        (BGR, BGR),
        (np.dstack([BGR, GRAY]), BGR),  # with alpha
        (GRAY.astype(np.uint16) * 257, GRAY),
    ],
)
def test_every_pixel_format_becomes_luma_or_bgr(tmp_path: Path, stored: np.ndarray, expected: np.ndarray) -> None:
    source = open_source(str(save(tmp_path / "face.png", stored)), SourceOptions())
    frame = source.read()
    assert frame is not None and frame.independent and frame.name == "face.png"
    np.testing.assert_array_equal(frame.image, expected)
    assert source.read() is None


def test_a_folder_comes_in_the_order_people_count(tmp_path: Path) -> None:
    for name in ("10.png", "9.PNG", "a2.png", "a10.png", "A1.png", "2.png"):
        save(tmp_path / name, GRAY)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    frames = all_of(Stills(tmp_path))
    assert [f.name for f in frames] == ["2.png", "9.PNG", "10.png", "A1.png", "a2.png", "a10.png"]
    assert all(f.independent and f.source == str(tmp_path) for f in frames)


def test_an_unreadable_picture_in_a_folder_is_skipped_once_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "1.jpg", BGR)
    whole = save(tmp_path / "2.jpg", BGR).read_bytes()
    (tmp_path / "2.jpg").write_bytes(whole[:300])
    (tmp_path / "3.png").write_bytes(b"")
    save(tmp_path / "4.jpg", BGR)
    source = Stills(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [f.name for f in all_of(source)] == ["1.jpg", "4.jpg"]
    assert source.skipped == 2
    assert [name in record.message for name, record in zip(("2.jpg", "3.png"), caplog.records, strict=True)] == [
        True
    ] * 2


def test_a_folder_of_nothing_but_unreadable_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8nothing")
    with pytest.raises(SourceError, match="none of the 1 pictures"):
        Stills(tmp_path).read()


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("none")
    with pytest.raises(SourceError, match="holds no pictures"):
        Stills(tmp_path)


def test_a_single_unreadable_picture_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(b"GIF, really")
    with pytest.raises(SourceError, match=r"face\.jpg is not a picture"):
        Stills(path).read()


def test_closing_ends_it(tmp_path: Path) -> None:
    save(tmp_path / "1.png", GRAY)
    source = Stills(tmp_path)
    source.close()
    source.close()
    assert source.read() is None
