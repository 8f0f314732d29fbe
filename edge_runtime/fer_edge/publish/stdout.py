"""Events on standard output: a line for a person at a terminal, JSON lines for a program."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import BinaryIO

from fer_edge.contract.errors import PublishError, ReaderGoneError, UsageError
from fer_edge.publish.background import BackgroundSink
from fer_edge.publish.event import Event
from fer_edge.publish.spec import SinkContext
from fer_edge.publish.terminal import TerminalSink
from fer_edge.publish.tty import patient
from fer_edge.seams import EventSink

FORM = "-"


def open_stdout(spec: str, context: SinkContext) -> EventSink:
    """Open `-`.

    Raises:
        UsageError: something follows the dash.
        PublishError: standard output was closed by whoever started us.
    """
    if spec != FORM:
        raise UsageError(f"output {spec!r} does not exist; standard output is written {FORM!r}")
    if sys.stdout is None:
        raise PublishError("standard output is closed; redirect it to a file or choose another --publish")
    if sys.stdout.isatty():
        return TerminalSink(patient(sys.stdout))
    # Unbuffered: a thread that waits for a stalled reader would hold the buffer's lock, and the interpreter aborts
    # at its end where it cannot take it.
    stream = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return BackgroundSink(StdoutSink(stream, every_frame=context.every_frame))


class StdoutSink:
    """JSON lines, flushed one by one; like any filter it goes as fast as its reader.

    Args:
        stream: where to write; left open at the end.
        every_frame: whether to take frames without faces.
    """

    name = "standard output"

    def __init__(self, stream: BinaryIO, *, every_frame: bool) -> None:
        self.every_frame = every_frame
        self._stream = stream

    def publish(self, event: Event) -> None:
        """Write one line; waits while the pipe is full.

        Raises:
            ReaderGoneError: the pipe's reader has left.
            PublishError: it cannot be written (a redirection to a full disk).
        """
        try:
            line = memoryview(event.json + b"\n")
            while line:  # under PYTHONUNBUFFERED the stream is a raw file, which may take a part only
                line = line[self._stream.write(line) :]
            self._stream.flush()
        except BrokenPipeError as error:
            self._discard_rest()
            raise ReaderGoneError("standard output was closed by its reader") from error
        except OSError as error:
            self._discard_rest()
            raise PublishError(
                f"standard output cannot be written ({error.strerror}); free some space where it is redirected to"
            ) from error

    def close(self) -> None:
        """Every line is already out."""

    def _discard_rest(self) -> None:
        # What is left in the buffer would fail again, loudly, when the interpreter flushes at exit
        # (docs.python.org/3/library/signal.html#note-on-sigpipe).
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
