"""Keep what TensorFlow prints from C++ off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(*, replay: bool = False) -> Iterator[None]:
    """Hold back what TensorFlow, Keras and MLIR print, from Python and from C++, on stdout and stderr.

    Args:
        replay: write it to stderr if the block fails; else it is lost then too.
    """
    with tempfile.TemporaryFile() as held:
        try:
            with _redirected(held.fileno()), warnings.catch_warnings(action="ignore"):
                yield
        except Exception:
            if replay:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))
            raise


@contextlib.contextmanager
def _redirected(target: int) -> Iterator[None]:
    # sys.stdout and sys.stderr stay what they are: a log handler made meanwhile keeps the one it found.
    _flush()
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        _flush()
        for descriptor, original in zip((1, 2), kept, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
