"""Model swaps with `kill -9`: whatever moment it is, a model that serves is left."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_bench.soak import attempts
from fer_edge.contract import model_file
from fer_edge.contract.errors import FerError
from fer_edge.contract.shipped import shipped_model
from fer_edge.expressions import litert
from fer_edge.service import models

FULL = 500

LONGEST_S = 0.15
"""A kill comes at a random moment of so long a time; one swap takes some ten milliseconds."""

LIMIT_S = 1800.0


def model_swaps(scale: float) -> dict[str, Any]:
    """Install and roll back without pause, and kill it at random moments; look at what is left each time.

    Each swap works in a process forked from one that has loaded no runtime, which therefore is one of its own.
    """
    kills = attempts(FULL, scale)
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "fer_bench.soak.swaps", str(kills)], check=False, capture_output=True, text=True,
            timeout=LIMIT_S, env={**os.environ, "STATE_DIRECTORY": folder},
        )  # fmt: skip
    if done.returncode:
        raise FerError(f"the swaps could not be made: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _swap_for_ever(files: list[Path]) -> None:
    def verify(copy: Path) -> None:
        litert.load(copy)

    for number, path in enumerate(itertools.cycle(files)):
        # The damaged one is refused, as it should be.
        with contextlib.suppress(FerError):
            models.install(path, verify=verify)
        if number % 4 == 3:
            models.rollback(verify=verify)


def _usable(names: set[str]) -> bool:
    """Whether what serves now loads and is one of those that were installed."""
    return litert.load(models.serving("")).model.name in names


def _forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return child


def _kill_often(kills: int) -> dict[str, Any]:
    # Imported once for all; no interpreter is made before a fork.
    importlib.import_module("ai_edge_litert.interpreter")
    shipped = model_file.read(shipped_model())
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as name:
        folder = Path(name)
        files = []
        for number in range(3):
            files.append(folder / f"{number}.tflite")
            dataclasses.replace(shipped, name=f"soak {number}").write(files[-1])
        damaged = bytearray(files[0].read_bytes())
        damaged[len(damaged) // 3] ^= 1
        (folder / "damaged.tflite").write_bytes(damaged)
        names = {shipped.name, *(f"soak {number}" for number in range(3))}
        rng = random.Random(0)
        unusable = killed = interrupted = served_installed = 0
        for _ in range(kills):
            child = _forked(lambda: _swap_for_ever([*files, folder / "damaged.tflite"]))
            time.sleep(rng.uniform(0.0, LONGEST_S))
            os.kill(child, signal.SIGKILL)
            killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
            left = list(models.folder().glob(".*.tmp")) if models.folder().is_dir() else []
            interrupted += bool(left)
            served_installed += models.installed().current is not None
            unusable += os.waitpid(_forked(lambda: _usable(names)), 0)[1] != 0
    return {
        "kills": killed,
        "unusable": unusable,
        "killed_while_writing": interrupted,
        "installed_model_served": served_installed,
    }


if __name__ == "__main__":
    print(json.dumps(_kill_often(int(sys.argv[1]))))
