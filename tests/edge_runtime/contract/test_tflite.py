"""What the runtime says while it loads a network."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

from fer_edge.contract import tflite


def test_the_runtimes_chatter_is_kept_and_everything_else_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with tflite._without_chatter():
        os.write(2, b"INFO: Created a delegate\nERROR: out of memory\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "ERROR: out of memory\nlater\n"


def test_two_threads_leave_standard_error_where_it_was() -> None:
    before = os.fstat(2)
    inside = threading.Barrier(2, timeout=1)

    def quietly(wait_s: float) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            inside.wait()
        with tflite._without_chatter():
            time.sleep(wait_s)

    threads = [threading.Thread(target=quietly, args=(wait_s,)) for wait_s in (0.05, 0.15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.path.sameopenfile(2, 2) and os.fstat(2).st_ino == before.st_ino


def test_a_closed_standard_error_is_no_hindrance() -> None:
    code = "import os, sys; from fer_edge.contract import tflite; sys.exit(0 if sys.stderr is None else 3)"
    code = code.replace("sys.exit", "tflite._without_chatter().__enter__(); sys.exit")
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{code}" 2>&-'], check=False)
    assert done.returncode == 0
