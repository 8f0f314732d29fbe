"""`fer-edge crop` on drawn pictures; a detector that knows where it drew stands behind its seam."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge.cli import main
from fer_edge.contract.errors import DataError, UsageError
from fer_edge.crop import FACTS, Cropping, crop_folder
from fer_edge.faces.framing import crop_gray
from fer_edge.records import Box, Detection, Frame, Framing

BOXES: list[Box] = [(10.0, 10.0, 20.0, 20.0), (60.0, 20.0, 40.0, 50.0)]


class Drawn:
    """Sees two faces in every picture that is not black."""

    name = "drawn"
    framing = Framing(scale=1.1, rise=0.1)

    def __init__(self) -> None:
        self.seen = 0

    def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
        self.seen += 1
        return [Detection(box) for box in BOXES] if frame.image.any() else []


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, name in enumerate(("S01/happy/1.jpg", "S01/sad/2.png", "S02/happy/3.png", "S02/happy/4.png")):
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((120, 120, 3), np.uint8) if number == 3 else rng.integers(0, 256, (120, 120, 3), np.uint8)
        cv2.imwrite(str(path), picture)
    (tmp_path / "people" / "S02" / "sad").mkdir()
    (tmp_path / "people" / "S02" / "sad" / "5.jpg").write_bytes(b"no picture")
    (tmp_path / "people" / ".hidden").mkdir()
    (tmp_path / "people" / ".hidden" / "6.jpg").write_bytes(b"no picture")
    return tmp_path / "people"


def test_the_largest_face_as_the_loop_frames_it_and_all_others_counted(people: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    outcome = crop_folder(people, tmp_path / "faces", Cropping(Drawn(), 48), on_picture=seen.append)
    assert outcome.cropped == ["S01/happy/1.jpg", "S01/sad/2.png", "S02/happy/3.png"]
    assert (outcome.no_face, outcome.unreadable) == (["S02/happy/4.png"], ["S02/sad/5.jpg"])
    assert sum(seen) == 5
    made = cv2.imread(str(tmp_path / "faces" / "S01" / "sad" / "2.png"), cv2.IMREAD_UNCHANGED)
    picture = cv2.imread(str(people / "S01" / "sad" / "2.png"))
    # Centre (80, 45 - 0.1 * 50), side 1.1 times the geometric mean of 40 and 50.
    side = 1.1 * 2000**0.5
    assert (made == crop_gray(picture, (80 - side / 2, 40 - side / 2, side, side), 48)).all()
    facts = json.loads((tmp_path / "faces" / FACTS).read_text())
    assert facts == {
        "detector": "drawn", "framing": {"scale": 1.1, "rise": 0.1}, "side": 48, "grey": "bt601",
        "pictures": 5, "cropped": 3, "no_face": ["S02/happy/4.png"], "unreadable": ["S02/sad/5.jpg"],
    }  # fmt: skip


def test_grey_levels_are_of_the_kind_that_was_asked_for(people: Path, tmp_path: Path) -> None:
    crop_folder(people, tmp_path / "faces", Cropping(Drawn(), 64, "bt709"))
    made = cv2.imread(str(tmp_path / "faces" / "S01" / "sad" / "2.png"), cv2.IMREAD_UNCHANGED)
    picture = cv2.imread(str(people / "S01" / "sad" / "2.png")).astype(float)
    side = 1.1 * 2000**0.5
    levels = np.rint(picture @ [0.072, 0.715, 0.213]).astype(np.uint8)
    wanted = crop_gray(levels, (80 - side / 2, 40 - side / 2, side, side), 64)
    assert made.shape == (64, 64) and np.abs(made.astype(int) - wanted).max() <= 1


def test_a_second_call_goes_on_where_the_first_was_stopped(people: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces"

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crop_folder(people, target, Cropping(Drawn(), 48), on_picture=stop)
    first = target / "S01" / "happy" / "1.png"
    written = first.stat().st_mtime_ns
    again = Drawn()
    outcome = crop_folder(people, target, Cropping(again, 48))
    assert len(outcome.cropped) == 3 and again.seen == 3
    assert first.stat().st_mtime_ns == written


def test_crops_of_two_kinds_are_never_mixed(people: Path, tmp_path: Path) -> None:
    crop_folder(people, tmp_path / "faces", Cropping(Drawn(), 48))
    with pytest.raises(UsageError, match=r"holds crops that were made in another way"):
        crop_folder(people, tmp_path / "faces", Cropping(Drawn(), 64))
    with pytest.raises(UsageError, match=r"holds something else than crops"):
        crop_folder(people / "S01", people / "S02", Cropping(Drawn(), 48))


def test_a_full_disk_is_a_sentence_and_keeps_what_is_there(people: Path, tmp_path: Path) -> None:
    from small_disk import mounted

    with mounted(tmp_path / "disk", "64k") as disk:
        (disk / "filler").write_bytes(bytes(48 * 1024))
        with pytest.raises(DataError, match=r"No space left on device.*run it again"):
            crop_folder(people, disk / "faces", Cropping(Drawn(), 200))


def test_what_cannot_be_cropped_is_refused_before_anything_is_made(people: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces"
    for source, sentence in ((tmp_path / "none", "is not a folder"), (people / ".hidden" / "x", "is not a folder")):
        with pytest.raises(UsageError, match=sentence):
            crop_folder(source, target, Cropping(Drawn(), 48))
    with pytest.raises(UsageError, match="lies in"):
        crop_folder(people, people / "faces", Cropping(Drawn(), 48))
    (people / "S01" / "happy" / "1.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"S01/happy/1\.jpg and S01/happy/1\.png would both become S01/happy/1\.png"):
        crop_folder(people, target, Cropping(Drawn(), 48))
    assert not target.exists()


def test_the_command_with_a_real_detector_says_how_many_were_skipped(people: Path, tmp_path: Path) -> None:
    arguments = ["crop", str(people), str(tmp_path / "faces"), "--detector", "haar", "--side", "84"]
    done = CliRunner().invoke(main, arguments, prog_name="fer-edge")
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "faces" / FACTS).read_text())
    skipped = len(facts["no_face"])
    assert facts["detector"] == "haar" and facts["cropped"] + skipped == 4
    assert f"skipped {skipped} pictures without a face" in done.stdout
    assert "skipped 1 pictures that cannot be read: S02/sad/5.jpg" in done.stdout


def test_a_real_face_is_found_and_framed(tmp_path: Path) -> None:
    from fer_edge.contract.errors import SourceError
    from fer_edge.frames.demo import picture_path

    try:
        picture = picture_path()
    except SourceError as error:
        pytest.skip(str(error))
    (tmp_path / "people" / "happy").mkdir(parents=True)
    (tmp_path / "people" / "happy" / "1.png").write_bytes(picture.read_bytes())
    arguments = ["crop", str(tmp_path / "people"), str(tmp_path / "faces"), "--detector", "haar"]
    done = CliRunner().invoke(main, arguments, prog_name="fer-edge")
    assert done.exit_code == 0, done.output
    made = cv2.imread(str(tmp_path / "faces" / "happy" / "1.png"), cv2.IMREAD_UNCHANGED)
    assert made.shape == (48, 48) and made.std() > 30
    assert "1 faces, 48x48, haar, bt601" in done.stdout
