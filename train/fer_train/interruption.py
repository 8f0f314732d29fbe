"""Stop a training between two of its steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interruption() -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM set an event; a second one raises KeyboardInterrupt at once.

    Python's own handler raises wherever the signal finds the interpreter. In a destructor or in a
    callback out of TensorFlow's C++ code such an exception is dropped, and the training goes on.
    """
    interrupted = threading.Event()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def interrupt(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            signal.default_int_handler(number, frame)
        interrupted.set()

    try:
        for number in SIGNALS:
            signal.signal(number, interrupt)
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
