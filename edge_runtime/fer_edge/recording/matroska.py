"""Motion JPEG in Matroska (RFC 9559): each frame with the moment it was taken at, whole after a power cut.

OpenCV's writer tells neither a full disk nor, before 4.11, when a frame was taken.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

EPOCH_S = 978_307_200
"""Matroska counts dates from 2001-01-01T00:00:00 UTC; seconds of the Unix epoch."""

_EBML, _SEGMENT, _INFO, _DATE = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x4461
_UNKNOWN_SIZE = b"\x01" + 7 * b"\xff"
_HEADER_LIMIT = 4096


class MatroskaWriter:
    """Appends JPEG pictures to a new file; every picture is a cluster of its own, so any prefix is a film.

    It is written in place and not renamed at the end: what a power cut leaves is worth keeping.

    Args:
        path: must not exist.
        size: width and height in pixels.
        began: wall-clock time of the first picture, seconds since the epoch.

    Attributes:
        bytes: length of the file so far.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], began: float) -> None:
        self._began_ms = int(began * 1000)
        self._last_ms = -1
        self._file = path.open("xb", buffering=0)
        info = (
            _number(0x2AD7B1, 1_000_000)
            + _element(_DATE, struct.pack(">q", (self._began_ms - EPOCH_S * 1000) * 1_000_000))
            + _element(0x4D80, b"fer-edge")
            + _element(0x5741, b"fer-edge")
        )
        head = (
            _element(
                _EBML,
                _number(0x4286, 1) + _number(0x42F7, 1) + _number(0x42F2, 4) + _number(0x42F3, 8)
                + _element(0x4282, b"matroska") + _number(0x4287, 4) + _number(0x4285, 2),
            )
            + _id(_SEGMENT)
            + _UNKNOWN_SIZE
        )  # fmt: skip
        duration = _element(0x4489, struct.pack(">d", 0.0))
        self._duration_at = len(head + _id(_INFO)) + 8 + len(info + duration) - 8
        track = (
            _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _number(0x9C, 0) + _element(0x86, b"V_MJPEG")
            + _element(0xE0, _number(0xB0, size[0]) + _number(0xBA, size[1]))
        )  # fmt: skip
        self.bytes = 0
        try:
            self._append(head + _element(_INFO, info + duration) + _element(0x1654AE6B, _element(0xAE, track)))
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def write(self, jpeg: bytes, time: float) -> None:
        """Append one picture.

        Args:
            jpeg: the picture.
            time: when it was taken, seconds on a clock that runs on from `began`; each picture is at least a
                millisecond after the one before.

        Raises:
            OSError: it cannot be written; the file still ends with a whole picture.
        """
        elapsed_ms = max(int(time * 1000) - self._began_ms, self._last_ms + 1)
        # Track 1, no offset from the cluster's time stamp, a key frame.
        block = _element(0xA3, b"\x81\x00\x00\x80" + jpeg)
        self._append(_element(0x1F43B675, _number(0xE7, elapsed_ms) + block))
        self._last_ms = elapsed_ms

    def close(self) -> None:
        """Note the duration and see everything on the disk; may be called twice.

        Raises:
            OSError: the disk fails.
        """
        if self._file.closed:
            return
        try:
            if self._last_ms >= 0:
                os.pwrite(self._file.fileno(), struct.pack(">d", float(self._last_ms)), self._duration_at)
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _append(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            self._file.truncate(self.bytes)
            self._file.seek(self.bytes)
            raise
        self.bytes += written


def recorded_at(path: Path) -> float | None:
    """When the first picture of a Matroska file was taken, seconds since the epoch; None where it does not say."""
    with path.open("rb") as file:
        data = file.read(_HEADER_LIMIT)
    position = 0
    while position < len(data):
        element, size, position = _read_head(data, position)
        if element == _DATE and size == 8 and position + 8 <= len(data):
            return float(struct.unpack(">q", data[position : position + 8])[0] / 1e9 + EPOCH_S)
        if element not in (_SEGMENT, _INFO):  # those two are entered, all others passed over
            position += size
    return None


def _id(element: int) -> bytes:
    return element.to_bytes((element.bit_length() + 7) // 8, "big")


def _element(element: int, content: bytes) -> bytes:
    return _id(element) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(element: int, value: int) -> bytes:
    return _element(element, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _read_head(data: bytes, position: int) -> tuple[int, int, int]:
    """Id and size of the element at `position`, and where its content begins (RFC 8794, section 4)."""
    numbers = []
    for keep_marker in (True, False):
        first = data[position] if position < len(data) else 0
        length = 9 - first.bit_length() if first else len(data)
        value = int.from_bytes(data[position : position + length], "big")
        numbers.append(value if keep_marker or not first else value & ~(1 << (7 * length)))
        position += length
    return numbers[0], numbers[1], position
