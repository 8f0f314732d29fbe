"""A video file, every frame of it, by the clip's own clock."""

from __future__ import annotations

import time
from pathlib import Path

import cv2

from fer_edge.contract.errors import SourceError
from fer_edge.frames.opencv import Picture, as_frame_image
from fer_edge.records import Frame

TOLERANCE_S = 0.3
"""How much shorter than promised a clip may be: containers count the sound's length, and round."""

TOLERANCE = 0.02
"""The same as a fraction of the clip."""

_USUAL_FPS = 25.0


class VideoFile:
    """The frames of one video file, as fast as they are read.

    `Frame.captured` and `Frame.time` begin when it is opened and advance by the clip's own clock, so that
    tracking and smoothing see the time that passed in the clip. Frames are named `clip.mkv#120`, from 0.
    """

    dropped = 0

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            SourceError: it cannot be read, or is not a video that OpenCV can decode.
        """
        self.name = str(path)
        self._path = path
        try:
            with path.open("rb") as file:
                self._is_gif = file.read(4) == b"GIF8"
        except OSError as error:
            raise SourceError(f"{path} cannot be read ({error.strerror}); check the file and its rights") from error
        # An absolute path can be taken neither for a protocol nor for an option. FFmpeg would otherwise keep
        # frames for a thread of each core: 2 MB and more at 640x480.
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._capture.isOpened():
            raise SourceError(self._undecodable())
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if 0 < fps <= 1000 else _USUAL_FPS
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._start, self._opened = time.monotonic(), time.time()
        self._index = 0
        self._position_s = -1 / self._fps
        self._buffer: Picture | None = None

    def read(self) -> Frame | None:
        """The next frame, or None at the end.

        Raises:
            SourceError: the file breaks off; all frames before that were delivered.
        """
        began = time.perf_counter()
        good, picture = self._capture.read(self._buffer)
        if not good:
            self._check_end()
            return None
        self._buffer = picture
        # Containers with no time stamps of their own leave the position where it was.
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self._position_s = stamp_s if stamp_s > self._position_s else self._position_s + 1 / self._fps
        frame = Frame(
            image=as_frame_image(picture),
            time=self._opened + self._position_s,
            captured=self._start + self._position_s,
            source=self.name,
            name=f"{self._path.name}#{self._index}",
            capture_ms=1e3 * (time.perf_counter() - began),
        )
        self._index += 1
        return frame

    def close(self) -> None:
        """Let the file go; may be called twice."""
        self._capture.release()

    def _check_end(self) -> None:
        if self._index == 0:
            raise SourceError(self._undecodable())
        if self._breaks_off():
            raise SourceError(
                f"{self._path} breaks off after frame {self._index - 1}: it is cut short or damaged there; "
                f"the {self._index} frames before were used, copy the file again for the rest"
            )

    def _undecodable(self) -> str:
        return f"{self._path} is not a video that can be decoded; check it in a player, or convert it to H.264 in MP4"

    def _breaks_off(self) -> bool:
        if self._is_gif:
            return not gif_is_whole(self._path.read_bytes())
        # Where the frame rate varies, the number of frames is a guess, and the last time stamp tells.
        missing = self._promised - self._index
        missing_s = self._promised / self._fps - (self._position_s + 1 / self._fps)
        tolerance_s = max(TOLERANCE_S, TOLERANCE * self._promised / self._fps)
        return missing > tolerance_s * self._fps and missing_s > tolerance_s


def gif_is_whole(data: bytes) -> bool:
    """Whether a GIF's chain of blocks reaches its end (GIF89a, appendix A).

    A GIF promises no number of frames, and decoders stop at damage as they do at the end.
    """
    try:
        at = 13 + _color_table_bytes(data[10])
        while at < len(data):
            kind = data[at]
            if kind == 0x3B:  # trailer
                return True
            if kind == 0x21:  # extension: its label, then data
                at += 2
            elif kind == 0x2C:  # image: descriptor, its colours, LZW code size, then data
                at += 11 + _color_table_bytes(data[at + 9])
            else:
                return False
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return False
    return at == len(data)  # without the trailer, as careless encoders leave it


def _color_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
