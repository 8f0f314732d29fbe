"""Events in a file of JSON lines, rotated by size."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from fer_edge.contract.errors import PublishError, UsageError
from fer_edge.publish.background import BackgroundSink, UndeliveredError
from fer_edge.publish.event import Event
from fer_edge.publish.spec import SinkContext, spec_options
from fer_edge.seams import EventSink

FORM = "file:PATH[?max_mb=10&keep=3]"

_FULL = (errno.ENOSPC, errno.EDQUOT)

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that this user may write",
    errno.EPERM: "choose a folder that this user may write",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "make its folder first",
    errno.EISDIR: "give the path of a file",
    errno.EBUSY: "end the other fer-edge that writes it, or choose another file",
}


def open_file(spec: str, context: SinkContext) -> EventSink:
    """Open `file:PATH`; with `?max_mb=N` (1 to 100000, default 10) and `&keep=N` (1 to 1000, default 3).

    Raises:
        UsageError: the path is missing or an option is wrong.
        PublishError: the file cannot be opened for writing.
    """
    path, max_bytes, keep = parse_file(spec)
    return BackgroundSink(FileSink(path, every_frame=context.every_frame, max_bytes=max_bytes, keep=keep))


def parse_file(spec: str) -> tuple[Path, int, int]:
    """Path, size at which it is rotated in bytes, and number of rotated files, of `file:PATH`.

    Raises:
        UsageError: the path is missing or an option is wrong.
    """
    path, _, query = spec.removeprefix("file:").partition("?")
    if not path:
        raise UsageError(f"output 'file:' lacks its path; it is written {FORM}")
    options = spec_options(query, FORM, max_mb=(10, range(1, 100_001)), keep=(3, range(1, 1001)))
    return Path(path).expanduser(), int(options["max_mb"]) * 1_000_000, int(options["keep"])


class FileSink:
    """JSON lines, each given to the system at once, so that a kill loses at most the one being written.

    A file that has reached its size becomes PATH.1, the former PATH.1 becomes PATH.2 and so on; the
    oldest over `keep` goes. A file that somebody removes or moves away is begun anew. Two writers on one
    file are refused.

    Args:
        path: the file, appended to; its folder must exist.
        every_frame: whether to take frames without faces.
        max_bytes: size at which the file is rotated; a longer line gets a file of its own.
        keep: number of rotated files kept beside the current one, at least 1.

    Raises:
        PublishError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path, *, every_frame: bool, max_bytes: int, keep: int) -> None:
        self.name = f"file {path}"
        self.every_frame = every_frame
        # A link to another disk is followed, so that rotation stays over there.
        self._path = Path(os.path.realpath(path))
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd = -1
        try:
            self._open()
        except OSError as error:
            self.close()
            raise self._sentence(error) from error

    def publish(self, event: Event) -> None:
        """Append one line.

        Raises:
            UndeliveredError: the disk is full and the event is a camera's, which goes on until there is room again.
            PublishError: disk full, folder gone, permission taken; the file still ends with a whole line.
        """
        line = event.json + b"\n"
        try:
            if self._fd < 0:  # there was no room for a new file
                self._open()
            opened = os.fstat(self._fd)
            if stat.S_ISREG(opened.st_mode):
                if not self._is_at_path(opened):
                    self._reopen()
                elif opened.st_size and opened.st_size + len(line) > self._max_bytes:
                    self._rotate()
            self._append(line)
        except OSError as error:
            if error.errno in _FULL and event.result.live:
                raise UndeliveredError(self._reason(error), again=False) from error
            raise self._sentence(error) from error

    def close(self) -> None:
        """Let the file go; every line is already in it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        # Without O_NONBLOCK a named pipe that nobody reads would hold the loop for ever.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self._path, flags, 0o644)
        opened = os.fstat(self._fd)
        if not stat.S_ISREG(opened.st_mode):
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(errno.EBUSY, "another process writes it") from error
        except OSError:
            pass  # a file system without locks
        if opened.st_size and os.pread(self._fd, 1, opened.st_size - 1) != b"\n":
            # A power cut tore the last line: close it, or it would take our first one with it.
            self._append(b"\n")

    def _reopen(self) -> None:
        self.close()
        self._open()

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._reopen()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _is_at_path(self, opened: os.stat_result) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, opened)

    def _append(self, data: bytes) -> None:
        before = os.fstat(self._fd)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            if written and stat.S_ISREG(before.st_mode):
                os.ftruncate(self._fd, before.st_size)  # half a line is worth less than none
            raise

    def _sentence(self, error: OSError) -> PublishError:
        return PublishError(f"{self.name} {self._reason(error)}")

    @staticmethod
    def _reason(error: OSError) -> str:
        return f"cannot be written ({error.strerror}); {_ADVICE.get(error.errno or 0, 'choose another file')}"
