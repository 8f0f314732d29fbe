"""A run of its own process, broken as the world breaks it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract import model_file
from fer_edge.contract.shipped import shipped_model

pytestmark = pytest.mark.slow

RUN = [sys.executable, "-m", "fer_edge"]


def until(happens: Callable[[], object], what: str, within_s: float = 40.0) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline, f"not seen in {within_s} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("FER_EDGE_")}
    return {**mine, "STATE_DIRECTORY": str(tmp_path / "state"), "PYTHONUNBUFFERED": ""}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A thousand frames of noise, more events than a pipe holds."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(1000):
        writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    return path


@contextlib.contextmanager
def started(*arguments: object, **options: object) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen([*RUN, *map(str, arguments)], stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_a_signal_ends_a_run_whose_reader_has_stalled(clip: Path, environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"\n" * 4096)
    os.set_blocking(writer, True)
    arguments = ("run", "--source", clip, "--detector", "haar", "--every-frame")
    with started(*arguments, stdout=writer, env=environment) as child:
        assert child.stderr is not None
        assert "run " in child.stderr.readline()
        time.sleep(1.0)
        assert child.poll() is None, "a file waits for its reader"
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
        assert "did not take" in child.stderr.read()
    os.close(reader)
    os.close(writer)


def test_a_service_swaps_its_model_while_it_runs(
    environment: dict[str, str], tmp_path: Path, demo_source: None
) -> None:
    new = tmp_path / "new.tflite"
    dataclasses.replace(model_file.read(shipped_model()), name="new").write(new)
    log = tmp_path / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            # Tests that were begun with nohup have SIGHUP ignored, and so would the run.
            ["env", "--default-signal=HUP", *RUN, "run", "--source", "demo", "--detector", "haar", "--max-fps", "10",
             "--publish", f"file:{tmp_path / 'events'}"],
            stderr=stream, env=environment, start_new_session=True,
        ) as child,
    ):  # fmt: skip
        try:
            until(lambda: "detector haar" in log.read_text(), "the run begins")
            done = subprocess.run(
                [*RUN, "model", "install", str(new)], env=environment, check=False, capture_output=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            until(lambda: "model new took over" in log.read_text(), "the installed model takes over")
            child.send_signal(signal.SIGHUP)
            until(lambda: log.read_text().count("model new took over") == 2, "a reload takes it again")
            child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0
        finally:
            child.kill()
    assert (tmp_path / "events").stat().st_size > 0


@pytest.fixture
def demo_source() -> None:
    from fer_edge.contract.errors import SourceError
    from fer_edge.frames.demo import picture_path

    try:
        picture_path()
    except SourceError as error:
        pytest.skip(str(error))


def test_systemd_hears_ready_watchdog_status_and_stopping(
    environment: dict[str, str], tmp_path: Path, demo_source: None
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(40)
        environment |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        arguments = ("run", "--source", "demo", "--detector", "haar", "--publish", f"file:{tmp_path / 'events'}")
        with started(*arguments, env=environment) as child:
            heard = [systemd.recv(4096)]
            while heard.count(b"WATCHDOG=1") < 3 or not heard[-1].startswith(b"STATUS="):
                heard.append(systemd.recv(4096))
            child.send_signal(signal.SIGTERM)
            while heard[-1] != b"STOPPING=1":
                heard.append(systemd.recv(4096))
            assert child.wait(20) == 0
    assert heard[0] == b"READY=1"
    (status,) = {text.decode() for text in heard if text.startswith(b"STATUS=")}
    assert "frames/s" in status and "dropped" in status


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a file system read-only for one process")
def test_a_read_only_root_is_fine(environment: dict[str, str], clip: Path) -> None:
    command = 'mount -o remount,bind,ro / 2>/dev/null || mount --bind / / && mount -o remount,bind,ro / && exec "$@"'
    arguments = [*RUN, "run", "--source", str(clip), "--detector", "haar", "--max-frames", "3", "--every-frame"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", *arguments],
        env={**environment, "TMPDIR": "/", "PYTHONDONTWRITEBYTECODE": "1"}, check=False, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip(f"this container may not mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
