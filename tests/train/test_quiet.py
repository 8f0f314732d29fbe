"""What is printed from Python and below it is held back, and given back where it explains a failure."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOISE = """
import logging, os, sys
from fer_train.quiet import quiet

def noise():
    os.write(1, b"from C on stdout\\n")
    os.write(2, b"from C on stderr\\n")
    print("from Python")
    logging.getLogger().addHandler(logging.StreamHandler())
"""


def run(code: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", NOISE + code], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_nothing_of_a_success_is_seen_and_later_lines_are() -> None:
    code = """
print("before")
with quiet(replay=True):
    noise()
print("after")
logging.warning("from a handler that was made inside")
"""
    assert run(code) == (0, "before\nafter\n", "from a handler that was made inside\n")


@pytest.mark.parametrize("replay", [True, False])
def test_a_failure_is_replayed_where_asked(replay: bool) -> None:
    code = f"""
try:
    with quiet(replay={replay}):
        noise()
        raise ImportError
except ImportError:
    print("failed")
"""
    held = ["from C on stderr", "from C on stdout", "from Python"]
    status, out, err = run(code)
    assert (status, out) == (0, "failed\n")
    assert sorted(err.splitlines()) == (held if replay else [])
