"""A terminal that never makes its writer wait: stopped with Ctrl-S, or at the end of a connection that stalls."""

from __future__ import annotations

import os
from typing import TextIO


class PatientTerminal:
    """Writes to a terminal; what finds no room while it is stopped is left out.

    Args:
        descriptor: of the terminal, opened by this process alone; not blocking, and closed at the end.
        encoding: of its characters.
    """

    def __init__(self, descriptor: int, encoding: str) -> None:
        self.encoding = encoding
        self._descriptor = descriptor
        self._rest = b""

    def write(self, text: str) -> None:
        """Write `text`, or leave it out where the end of an earlier one still waits.

        Raises:
            OSError: the terminal has gone.
        """
        # The end of a text is kept: half an escape sequence would swallow what comes next.
        self._rest = self._left(self._rest) or self._left(text.encode(self.encoding, "replace"))

    def flush(self) -> None:
        """Nothing is buffered but the end of a text, which goes out with the next one."""

    def close(self) -> None:
        """Let go of the terminal."""
        os.close(self._descriptor)

    def _left(self, content: bytes) -> bytes:
        while content:
            try:
                content = content[os.write(self._descriptor, content) :]
            except BlockingIOError:
                break
        return content


def patient(stream: TextIO) -> TextIO | PatientTerminal:
    """The terminal of `stream` by a way of its own, or `stream` where there is none.

    A descriptor of its own, because the flag for not blocking belongs to all processes that share one: the shell
    that started us would have it, too.
    """
    try:
        path = os.ttyname(stream.fileno())
        return PatientTerminal(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), stream.encoding)
    except OSError:  # no name in this container, or the terminal is another user's (sudo -u)
        return stream
