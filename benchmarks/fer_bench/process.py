"""`fer-edge run` as a process of its own: how soon it speaks, how much memory it takes, how long it runs."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fer_edge.contract.errors import FerError

LIMIT_S = 1800.0
"""A run that takes longer hangs: the slowest board needs 0.5 s a frame."""

LOOK_MS = 2
"""How often the process is looked at: the resolution of `first_event_ms`."""

MAX_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One run of `fer-edge`, from before its start to after its end.

    Attributes:
        first_event_ms: until the first event was in the file; None where there was no event.
        peak_memory_mb: largest resident set (VmHWM of /proc/PID/status), in 10^6 bytes.
        wall_ms: until the process had ended.
        events: lines in the file.
    """

    first_event_ms: float | None
    peak_memory_mb: float
    wall_ms: float
    events: int


def launch(arguments: Sequence[str], events: Path) -> Launch:
    """Run `fer-edge run ARGUMENTS --publish file:EVENTS` in a fresh interpreter and watch it.

    Args:
        arguments: without `--publish`.
        events: a file that does not exist yet.

    Raises:
        FerError: it failed, or took longer than half an hour; the sentence holds its last message.
    """
    command = [sys.executable, "-m", "fer_edge", "run", *arguments, "--publish", f"file:{events}"]
    return watch(command, events, name="fer-edge run")


def watch(command: Sequence[str], events: Path, *, name: str) -> Launch:
    """Run any command that writes a line an event into `events`, and watch it.

    Args:
        command: program and arguments.
        events: a file that does not exist yet.
        name: of the command in messages.

    Raises:
        FerError: it failed, or took longer than half an hour; the sentence holds its last message.
    """
    with tempfile.TemporaryFile() as messages:
        began = time.perf_counter()
        # Popen returns once the new program is loaded, so /proc tells of it and not of its parent.
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=messages)
        try:
            first_s, peak_mb = _watch(child.pid, events, began, name)
            ended = time.perf_counter()
            code = child.wait()
        finally:
            end(child)
        if code != 0:
            messages.seek(0)
            said = messages.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise FerError(f"{name} ended with exit code {code}: {said[-1][:MAX_MESSAGE]}")
    lines = events.read_bytes().count(b"\n") if events.exists() else 0
    return Launch(
        first_event_ms=None if first_s is None else (first_s - began) * 1e3,
        peak_memory_mb=peak_mb,
        wall_ms=(ended - began) * 1e3,
        events=lines,
    )


def _watch(pid: int, events: Path, began: float, name: str) -> tuple[float | None, float]:
    """When the first event was there, and the peak memory last seen; returns when the process ends."""
    first: float | None = None
    peak_mb = 0.0
    handle = os.pidfd_open(pid)
    try:
        while not select.select([handle], [], [], LOOK_MS / 1e3)[0]:
            if first is None and events.exists() and events.stat().st_size:
                first = time.perf_counter()
            # A maximum only grows, and the memory of an ended process is gone: the last look counts.
            peak_mb = max(peak_mb, _peak_memory_mb(pid))
            if time.perf_counter() - began > LIMIT_S:
                raise FerError(f"{name} did not end within {LIMIT_S:.0f} s; give a shorter clip or --max-frames")
    finally:
        os.close(handle)
    if first is None and events.exists() and events.stat().st_size:
        first = time.perf_counter()
    return first, peak_mb


def _peak_memory_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def end(child: subprocess.Popen[Any]) -> None:
    """End a process, gently for five seconds, and wait for it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def figures(launches: Sequence[Launch]) -> dict[str, Any]:
    """Medians of several runs, and each of them."""
    first = [run.first_event_ms for run in launches if run.first_event_ms is not None]
    return {
        "first_event_ms": round(median(first), 1) if first else None,
        "peak_memory_mb": round(median(run.peak_memory_mb for run in launches), 2),
        "wall_ms": round(median(run.wall_ms for run in launches), 1),
        "events": launches[-1].events,
        "runs": [
            {
                "first_event_ms": None if run.first_event_ms is None else round(run.first_event_ms, 1),
                "peak_memory_mb": round(run.peak_memory_mb, 2),
                "wall_ms": round(run.wall_ms, 1),
                "events": run.events,
            }
            for run in launches
        ],
    }
