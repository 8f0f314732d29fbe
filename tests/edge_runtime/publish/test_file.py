from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_disk import mounted

from fer_edge.contract.errors import PublishError
from fer_edge.publish import Event
from fer_edge.publish.background import BackgroundSink
from fer_edge.publish.file import FileSink
from results import result

Checked = Callable[[bytes], dict[str, Any]]
Make = Callable[..., Event]


def sink(path: Path, *, max_bytes: int = 10_000_000, keep: int = 3) -> FileSink:
    return FileSink(path, every_frame=False, max_bytes=max_bytes, keep=keep)


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_bytes().splitlines()]


def test_each_event_is_a_line_at_once_and_a_second_run_appends(tmp_path: Path, event: Make, checked: Checked) -> None:
    path = tmp_path / "out.jsonl"
    for first in (0, 2):
        opened = sink(path)
        for seq in (first, first + 1):
            opened.publish(event(seq=seq))
            assert checked(path.read_bytes().splitlines()[-1])["seq"] == seq  # before close
        opened.close()
        opened.close()

    assert numbers(path) == [0, 1, 2, 3]


def test_a_line_torn_by_a_crash_stays_and_harms_no_other(tmp_path: Path, event: Make) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"whole": 1}\n{"to')
    opened = sink(path)
    opened.publish(event(seq=5))
    opened.close()

    whole, torn, new = path.read_bytes().splitlines()
    assert (whole, torn) == (b'{"whole": 1}', b'{"to')
    assert json.loads(new)["seq"] == 5


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 60), lines=st.integers(1, 7), keep=st.integers(1, 4))
def test_rotation_keeps_the_newest_lines_in_order_within_the_size(
    tmp_path_factory: pytest.TempPathFactory, event: Make, count: int, lines: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("rotated") / "out.jsonl"
    most = lines * (len(event(seq=99).json) + 1)
    opened = sink(path, max_bytes=most, keep=keep)
    for seq in range(count):
        opened.publish(event(seq=seq))
    opened.close()

    files = [path.with_name(f"out.jsonl.{number}") for number in range(keep, 0, -1)] + [path]
    present = [file for file in files if file.exists()]
    assert sorted(path.parent.iterdir()) == sorted(present)
    assert all(file.stat().st_size <= most for file in present)
    kept = [seq for file in present for seq in numbers(file)]
    assert kept == list(range(count - len(kept), count))
    assert len(kept) == count or len(present) == keep + 1  # nothing goes before all places are taken


def test_a_line_longer_than_the_limit_gets_a_file_of_its_own(tmp_path: Path, event: Make) -> None:
    path = tmp_path / "out.jsonl"
    opened = sink(path, max_bytes=10, keep=1)
    opened.publish(event(seq=0))
    opened.publish(event(seq=1))

    assert (numbers(path), numbers(tmp_path / "out.jsonl.1")) == ([1], [0])
    opened.close()


def test_a_linked_file_is_rotated_where_it_lies(tmp_path: Path, event: Make) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "disk" / "real.jsonl")
    opened = sink(link, max_bytes=10)
    opened.publish(event(seq=0))
    opened.publish(event(seq=1))
    opened.close()

    assert link.is_symlink() and numbers(link) == [1]
    assert numbers(tmp_path / "disk" / "real.jsonl.1") == [0]


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_is_moved_or_removed_is_begun_anew(tmp_path: Path, event: Make, moved: bool) -> None:
    path = tmp_path / "out.jsonl"
    opened = sink(path)
    opened.publish(event(seq=0))
    if moved:
        path.rename(tmp_path / "taken")
    else:
        path.unlink()
    opened.publish(event(seq=1))
    opened.close()

    assert numbers(path) == [1]
    assert not moved or numbers(tmp_path / "taken") == [0]


def test_two_writers_on_one_file_are_refused(tmp_path: Path) -> None:
    first = sink(tmp_path / "out.jsonl")
    with pytest.raises(PublishError, match="another process writes it"):
        sink(tmp_path / "out.jsonl")
    first.close()
    sink(tmp_path / "out.jsonl").close()


def test_a_missing_folder_and_a_folder_as_file_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"missing/out.jsonl cannot be written .*; make its folder first"):
        sink(tmp_path / "missing" / "out.jsonl")
    with pytest.raises(PublishError, match="give the path of a file"):
        sink(tmp_path)


def test_a_folder_that_vanishes_is_one_sentence(tmp_path: Path, event: Make) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    opened = sink(folder / "out.jsonl")
    folder.rename(tmp_path / "pulled")
    with pytest.raises(PublishError, match="make its folder first"):
        opened.publish(event())
    opened.close()


def test_a_named_pipe_that_nobody_reads_does_not_hold_the_loop(tmp_path: Path, event: Make) -> None:
    os.mkfifo(tmp_path / "pipe")
    opened = sink(tmp_path / "pipe")
    with pytest.raises(PublishError, match="temporarily unavailable"):
        for seq in range(100_000):  # more than a pipe holds
            opened.publish(event(seq=seq))
    opened.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_that_is_always_full_is_one_sentence(event: Make) -> None:
    opened = sink(Path("/dev/full"))
    with pytest.raises(PublishError, match=r"^file /dev/full cannot be .*No space left on device.*free some space"):
        opened.publish(event(result(name="clip.mkv#1")))
    opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    with mounted(tmp_path / "disk", "64k") as folder:
        yield folder


def test_a_disk_that_runs_full_loses_no_line_that_was_written(small_disk: Path, event: Make, checked: Checked) -> None:
    path = small_disk / "out.jsonl"
    opened = sink(path)
    written = 0
    with pytest.raises(PublishError, match=f"{path} cannot be written .No space left on device.; free some space"):
        while written < 1000:
            opened.publish(event(result(seq=written, name=f"clip.mkv#{written}")))
            written += 1

    assert written > 50
    assert path.read_bytes().endswith(b"\n")  # no half line
    assert [checked(line)["seq"] for line in path.read_bytes().splitlines()] == list(range(written))
    opened.close()


@pytest.mark.parametrize("max_bytes", [10_000_000, 10], ids=["appending", "rotating"])
def test_a_camera_goes_on_while_the_disk_is_full_and_writes_again_when_there_is_room(
    small_disk: Path, event: Make, caplog: pytest.LogCaptureFixture, max_bytes: int
) -> None:
    other, path = small_disk / "other", small_disk / "out.jsonl"
    opened = BackgroundSink(sink(path, max_bytes=max_bytes, keep=1))
    with contextlib.suppress(OSError), other.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 512)
    seq = 0
    while opened.health().refused < 20:
        opened.publish(event(seq=seq))
        seq += 1
        time.sleep(0.001)
        assert seq < 10_000, "the disk is not full"
    # A sink of another test may still be ending in its thread.
    (said,) = (message for message in caplog.messages if str(path) in message)
    assert re.search(r"No space left on device\); free some space; this is said once", said)
    other.unlink()
    opened.publish(event(seq=seq))
    opened.close()
    assert numbers(path)[-1] == seq
    assert path.read_bytes().endswith(b"\n")


def test_a_read_only_disk_is_one_sentence_and_keeps_its_content(small_disk: Path, event: Make) -> None:
    path = small_disk / "out.jsonl"
    opened = sink(path, max_bytes=10)
    opened.publish(event(seq=0))
    opened.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(PublishError, match=r"Read-only file system.*choose a folder that can be written"):
        sink(path)
    assert numbers(path) == [0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PublishError, match="this user may write"):
        sink(tmp_path / "out.jsonl")


WRITER = """
import sys
from pathlib import Path
from fer_edge.publish import Event
from fer_edge.publish.file import FileSink
from results import face, result
sink = FileSink(Path(sys.argv[1]), every_frame=False, max_bytes=10**9, keep=1)
for seq in range(10**9):
    sink.publish(Event(result=result(face(), seq=seq), device="d", run="r"))
    print(seq, flush=True)
"""


def test_a_kill_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    for _ in range(200):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    said = [int(line) for line in process.stdout.read().split()]
    process.wait()

    whole = [json.loads(line)["seq"] for line in path.read_bytes().split(b"\n")[:-1]]
    assert whole == list(range(len(whole)))
    assert len(whole) > max(said[:-1], default=199)
