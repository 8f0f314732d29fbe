from __future__ import annotations

import io
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.publish import Event
from fer_edge.publish.stdout import StdoutSink

PROGRAM = """
import sys
from fer_edge.contract.errors import FerError
from fer_edge.publish import SinkContext, open_sinks
from results import face, result
context = SinkContext(device="d", run="r", every_frame=False, labels=result().labels)
try:
    with open_sinks(sys.argv[2:], context) as sinks:
        for seq in range(int(sys.argv[1])):
            if not sinks.publish(result(face(), seq=seq, name=f"clip.mkv#{seq}")):
                break
except FerError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
ENVIRONMENT.pop("PYTHONUNBUFFERED", None)  # users have a buffer, which must not complain at exit


def start(count: int, *specs: str, **streams: Any) -> subprocess.Popen[bytes]:
    """A process that publishes `count` events and reports errors as the commands do."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(count), *specs], stderr=subprocess.PIPE, env=ENVIRONMENT, **streams
    )


def test_each_event_is_one_line_that_arrives_at_once(
    event: Callable[..., Event], checked: Callable[[bytes], dict[str, Any]]
) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as pipe, os.fdopen(writer, "wb") as stream:
        sink = StdoutSink(stream, every_frame=False)
        for seq in (1, 2):
            sink.publish(event(seq=seq))
            assert select.select([pipe], [], [], 0)[0], "the line is still in a buffer"
            (line,) = pipe.read(65536).splitlines()
            assert checked(line)["seq"] == seq
        sink.close()
        sink.close()


def test_a_stream_that_takes_a_part_at_a_time_gets_all(
    event: Callable[..., Event], checked: Callable[[bytes], dict[str, Any]]
) -> None:
    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:100])

    stream = Slow()
    StdoutSink(stream, every_frame=False).publish(event(seq=3))

    assert checked(stream.getvalue())["seq"] == 3


def test_a_reader_that_leaves_ends_the_run_cleanly(checked: Callable[[bytes], dict[str, Any]]) -> None:
    process = start(10**9, "-", stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert checked(process.stdout.readline())["seq"] == 0
    process.stdout.close()  # as `head -1` does

    assert process.wait(60) == 0
    assert process.stderr.read() == b""


def test_other_outputs_go_on_when_the_reader_leaves(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(20, "-", f"file:{tmp_path}/out.jsonl", stdout=writer)
    os.close(writer)

    assert process.wait(60) == 0
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_a_redirection_is_one_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(3, "-", stdout=full)

    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.decode() == (
        "standard output cannot be written (No space left on device); free some space where it is redirected to\n"
    )


def test_a_closed_standard_output_is_one_sentence() -> None:
    process = start(3, "-", preexec_fn=lambda: os.close(1))  # a shell's `>&-`

    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.decode().startswith("standard output is closed; ") and said.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_so_it_is_behind_any_other_command() -> None:
    command = [sys.executable, "-m", "fer_edge", "config", "show"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        "fer-edge: the output cannot be written (No space left on device); free some space where it is redirected to\n"
    )
