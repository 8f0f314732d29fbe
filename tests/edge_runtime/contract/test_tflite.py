"""What the runtime says while it loads a network."""

from __future__ import annotations

import os

import pytest

from fer_edge.contract import tflite


def test_the_runtimes_chatter_is_kept_and_everything_else_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with tflite._without_chatter():
        os.write(2, b"INFO: Created a delegate\nERROR: out of memory\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "ERROR: out of memory\nlater\n"
