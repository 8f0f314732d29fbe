"""Records the frames that the loop looks at, in a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import logging
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.closing import Closing
from fer_edge.contract.colours import label_colours
from fer_edge.contract.errors import PublishError
from fer_edge.recording.drawing import annotated
from fer_edge.recording.matroska import MatroskaWriter
from fer_edge.records import CLOCK_JUMP_S, Frame, FrameResult

_log = logging.getLogger(__name__)

CAPACITY = 8
"""Frames that may wait to be written."""

JPEG_QUALITY = 90

CLOSE_S = 1.0
"""How long closing waits for what is pending, seconds."""

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.ENOENT: "make its folder first",
    errno.EACCES: "choose a folder that this user may write to; a service may not write below /home",
}


@dataclass(slots=True)
class _Picture:
    image: NDArray[np.uint8]
    offset: tuple[int, int]
    time: float
    captured: float
    result: FrameResult


class Recorder(Closing):
    """Writes frames into a Matroska file until it is closed, or until the disk is full.

    A file that exists is never overwritten: `clip.mkv` becomes `clip-2.mkv`. Frames of a live source that
    come while eight others wait are left out and counted; those of a file wait. A recording that fails
    ends with one line in the log, the run goes on, and leaving the `with` block raises its error.

    Args:
        path: the file; its folder must exist.
        is_annotated: draw boxes and labels into the frames.
        labels: the classifier's, in order.

    Raises:
        PublishError: nothing can be written there.
    """

    def __init__(self, path: Path, *, is_annotated: bool, labels: tuple[str, ...]) -> None:
        self.path = path
        self._style = "annotated" if is_annotated else "plain"
        self._colours = label_colours(labels)
        self._frames = self._dropped = self._bytes = 0
        self._pictures: queue.Queue[_Picture | None] = queue.Queue(CAPACITY)
        try:
            self.path = _free_name(path)
            if not self.path.absolute().parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        except OSError as error:
            raise self._sentence(error) from error
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()
        _log.warning("recording what is seen into %s (%s)", self.path, self._style)

    def state(self) -> dict[str, Any]:
        """For the live page: name of the file, style, frames written and left out, bytes, and what ended it."""
        return {
            "name": self.path.name,
            "style": self._style,
            "frames": self._frames,
            "dropped": self._dropped,
            "bytes": self._bytes,
            "error": self._failure and str(self._failure),
        }

    def take(self, frame: Frame, result: FrameResult) -> None:
        """Copy one frame for the recording; never raises."""
        if self._failure is not None:
            return
        picture = _Picture(frame.image.copy(), frame.offset, frame.time, frame.captured, result)
        while self._failure is None:
            try:
                self._pictures.put(picture, block=not frame.live, timeout=0.1)
                return
            except queue.Full:
                if frame.live:
                    self._dropped += 1
                    return

    def close(self) -> None:
        """Write what is pending, within a second as far as the disk allows; may be called twice."""
        deadline = time.monotonic() + CLOSE_S
        while self._thread.is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Full):
                self._pictures.put(None, timeout=0.1)
            self._thread.join(0.1)
        if self._thread.is_alive():
            _log.warning("%s did not take the last frames within a second", self.path)
        elif self._frames:
            _log.info("recorded %d frames into %s, %d left out", self._frames, self.path, self._dropped)

    def _work(self) -> None:
        writer: MatroskaWriter | None = None
        size, jumped, offset = (0, 0), 0.0, 0.0
        try:
            while (picture := self._pictures.get()) is not None:
                image = picture.image
                if writer is None:
                    size = (image.shape[1], image.shape[0])
                    writer = MatroskaWriter(self.path, size=size, began=picture.time)
                    offset = picture.time - picture.captured
                # By the wall clock, as events are, but for the moments at which somebody sets it.
                before, offset = offset, picture.time - picture.captured
                jumped += offset - before if abs(offset - before) > CLOCK_JUMP_S else 0.0
                writer.write(self._encoded(picture, size), picture.time - jumped)
                self._frames += 1
                self._bytes = writer.bytes
        except OSError as error:
            self._end(error)
        except Exception as error:  # whatever it is, the loop has to hear of it rather than wait for this thread
            self._end(OSError(0, f"{type(error).__name__}: {error}"))
        finally:
            if writer is not None:
                try:
                    writer.close()
                except OSError as error:
                    self._end(error)

    def _encoded(self, picture: _Picture, size: tuple[int, int]) -> bytes:
        image = picture.image
        if self._style == "annotated":
            image = annotated(image, picture.result, offset=picture.offset, colours=self._colours)
        if (image.shape[1], image.shape[0]) != size:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).view(np.uint8)
        encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not encoded:
            raise OSError(errno.EINVAL, f"OpenCV makes no JPEG of {image.shape[1]}x{image.shape[0]} pixels")
        return data.tobytes()

    def _end(self, error: OSError) -> None:
        if self._failure is None:
            self._fail(self._sentence(error), said=True)
            _log.error("%s; the run goes on without it", self._failure)

    def _sentence(self, error: OSError) -> PublishError:
        advice = _ADVICE.get(error.errno or 0, "choose another file")
        return PublishError(f"recording {self.path} ended ({error.strerror}); {advice}")


def _free_name(path: Path) -> Path:
    free, number = path, 2
    while free.exists():
        free = path.with_stem(f"{path.stem}-{number}")
        number += 1
    return free
