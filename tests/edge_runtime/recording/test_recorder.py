"""Recordings: every frame at its time, whole after anything, and never in the loop's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_disk import mounted

from fer_edge.contract.errors import PublishError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.recording import Recorder
from fer_edge.recording.drawing import annotated
from fer_edge.recording.matroska import MatroskaWriter, recorded_at
from fer_edge.records import Frame
from results import face, result

BEGAN = 1_795_262_400.123


def frame(level: int = 90, at: float = 0.0, *, name: str | None = None, size: tuple[int, int] = (64, 48)) -> Frame:
    image = np.full((size[1], size[0], 3), level, np.uint8)
    return Frame(image=image, time=BEGAN + at, captured=at, source="test", name=name)


def recorder(path: Path, *, is_annotated: bool = False) -> Recorder:
    return Recorder(path, is_annotated=is_annotated, labels=FER2013_LABELS)


def film(path: Path) -> list[tuple[float, np.ndarray]]:
    """Seconds and picture of each frame, as a player decodes them."""
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while True:
        good, picture = reader.read()
        if not good:
            return found
        found.append((reader.get(cv2.CAP_PROP_POS_MSEC) / 1000, picture))


def test_frames_come_back_at_the_times_they_were_taken_at(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    times = [0.0, 0.033, 0.5, 0.512, 3.0]
    with recorder(path) as opened:
        for number, at in enumerate(times):
            opened.take(frame(40 * number, at), result())
            time.sleep(0.01)
    seen = film(path)
    assert [at for at, _ in seen] == pytest.approx(times, abs=0.0011)
    assert [round(float(picture.mean()) / 40) for _, picture in seen] == [0, 1, 2, 3, 4]
    assert recorded_at(path) == pytest.approx(BEGAN, abs=0.0011)
    assert opened.state() == {
        "name": "clip.mkv", "style": "plain", "frames": 5, "dropped": 0, "bytes": path.stat().st_size, "error": None,
    }  # fmt: skip


def test_the_picture_is_a_copy_since_sources_reuse_their_buffers(tmp_path: Path) -> None:
    with recorder(tmp_path / "clip.mkv") as opened:
        shown = frame(200)
        opened.take(shown, result())
        shown.image[:] = 0
    assert abs(float(film(tmp_path / "clip.mkv")[0][1].mean()) - 200) < 3


def test_a_clip_is_recorded_by_its_own_clock_and_completely(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with recorder(path) as opened:
        for number in range(60):
            seen = frame(number, number / 25, name=f"a.mkv#{number}")
            opened.take(replace(seen, time=BEGAN + number / 25), result())
    times = [at for at, _ in film(path)]
    assert times == pytest.approx([number / 25 for number in range(60)], abs=0.0011)


@pytest.mark.parametrize("jump_s", [-3600.0, 259_200.0])
def test_a_clock_that_is_set_leaves_the_film_as_long_as_it_was(tmp_path: Path, jump_s: float) -> None:
    path = tmp_path / "clip.mkv"
    with recorder(path) as opened:
        for number in range(6):
            seen = frame(at=number / 10)
            opened.take(replace(seen, time=seen.time + (jump_s if number > 2 else 0.0)), result())
            time.sleep(0.01)
    assert [at for at, _ in film(path)] == pytest.approx([number / 10 for number in range(6)], abs=0.0011)
    assert recorded_at(path) == pytest.approx(BEGAN, abs=0.0011)


def test_a_clock_that_is_slewed_is_followed_since_events_are_matched_by_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with recorder(path) as opened:
        for number in range(6):
            seen = frame(at=number / 10)
            opened.take(replace(seen, time=seen.time + 0.02 * number), result())
            time.sleep(0.01)
    assert [at for at, _ in film(path)] == pytest.approx([0.12 * number for number in range(6)], abs=0.0011)


def test_two_frames_of_one_moment_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with recorder(path) as opened:
        for at in (5.0, 5.0, 4.9):
            opened.take(frame(at=at), result())
            time.sleep(0.01)
    times = [at for at, _ in film(path)]
    assert len(times) == 3 and times == sorted(set(times))


def test_frames_of_another_size_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with recorder(path) as opened:
        opened.take(frame(), result())
        opened.take(frame(size=(128, 96), at=0.1), result())
    assert [picture.shape for _, picture in film(path)] == [(48, 64, 3)] * 2


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(b"mine")
    for name in ("clip-2.mkv", "clip-3.mkv"):
        with recorder(path) as opened:
            opened.take(frame(), result())
        assert opened.path == tmp_path / name
        assert film(tmp_path / name)
    assert path.read_bytes() == b"mine"


def test_a_name_that_no_folder_takes_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"File name too long.*choose another file"):
        recorder(tmp_path / f"{'x' * 300}.mkv")


@pytest.mark.parametrize("fault", [cv2.error("odd"), MemoryError("none left")])
def test_whatever_stops_the_thread_is_said_and_does_not_stop_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(*arguments: object) -> None:
        raise fault

    monkeypatch.setattr(cv2, "imencode", fails)
    with pytest.raises(PublishError, match=type(fault).__name__), recorder(tmp_path / "clip.mkv") as opened:
        for number in range(20):  # More than may wait; those of a file are waited for.
            opened.take(frame(at=number / 30, name=f"a.mkv#{number}"), result())


def test_a_picture_too_large_for_jpeg_ends_the_recording_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no JPEG of 70000x2"), recorder(tmp_path / "clip.mkv") as opened:
        opened.take(frame(size=(70_000, 2), name="wide.png"), result())


def test_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"absent/clip\.mkv.*make its folder first"):
        recorder(tmp_path / "absent" / "clip.mkv")


def test_a_run_without_frames_leaves_no_file(tmp_path: Path) -> None:
    with recorder(tmp_path / "clip.mkv"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_is_announced_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), recorder(tmp_path / "clip.mkv") as opened:
        assert f"recording what is seen into {tmp_path / 'clip.mkv'} (plain)" in caplog.text
        opened.take(frame(), result())
    assert "recorded 1 frames" in caplog.text


def test_a_slow_disk_costs_frames_and_not_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MatroskaWriter.write

    def slow(self: MatroskaWriter, jpeg: bytes, taken: float) -> None:
        time.sleep(0.1)
        whole(self, jpeg, taken)

    monkeypatch.setattr(MatroskaWriter, "write", slow)
    with recorder(tmp_path / "clip.mkv") as opened:
        began = time.monotonic()
        for number in range(100):
            opened.take(frame(at=number / 30), result())
        assert time.monotonic() - began < 2, "a hundred writes would take ten seconds"
        assert opened.state()["dropped"] > 50


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    with mounted(tmp_path / "disk", "256k") as folder:
        yield folder


def test_a_full_disk_ends_the_recording_with_whole_frames_and_not_the_run(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk / "clip.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    with pytest.raises(PublishError, match=r"No space left on device.*free some space"), recorder(path) as opened:
        for number in range(200):
            opened.take(replace(frame(at=number / 30), image=noise), result())
            time.sleep(0.002)
        state = opened.state()
        assert "No space left" in state["error"]
    assert "the run goes on without it" in caplog.text
    assert len(film(path)) == state["frames"] > 3


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from fer_edge.recording.matroska import MatroskaWriter
import cv2
jpeg = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()
writer = MatroskaWriter(Path(sys.argv[1]), size=(64, 48), began=1000.0)
for number in range(10**9):
    writer.write(jpeg, 1000.0 + number / 30)
    print(number, flush=True)
"""


def test_a_kill_leaves_all_frames_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert len(film(path)) >= 50


@given(st.binary(max_size=200))
def test_any_file_may_be_asked_when_it_was_recorded(data: bytes) -> None:
    path = Path("/dev/shm") / f"fer-edge-test-{os.getpid()}.mkv"
    path.write_bytes(data)
    try:
        assert recorded_at(path) is None or b"\x44\x61" in data
    finally:
        path.unlink()


def test_annotations_frame_the_face_and_leave_the_frame_as_it_was() -> None:
    image = np.zeros((240, 320), np.uint8)
    seen = result(replace(face(), box=(100.0, 80.0, 60.0, 70.0)))
    drawn = annotated(image, seen, offset=(10, 0), colours={"happy": "#0000FF"})
    assert drawn.shape == (240, 320, 3)
    assert not image.any()
    assert (drawn[80, 100:140] == (255, 0, 0)).all(), "blue, in OpenCV's order, where the region puts it"
    assert not drawn[200:, :].any()
    assert drawn[50:79, 90:].any(), "its label stands above"


@pytest.mark.parametrize("box", [(-50.0, -50.0, 20.0, 20.0), (300.0, 2.0, 500.0, 500.0), (0.0, 0.0, 0.4, 0.4)])
def test_annotations_of_faces_at_the_rim(box: tuple[float, float, float, float]) -> None:
    drawn = annotated(np.zeros((24, 32, 3), np.uint8), result(replace(face(), box=box)), offset=(0, 0), colours={})
    assert drawn.shape == (24, 32, 3)
