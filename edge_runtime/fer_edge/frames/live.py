"""Live sources through OpenCV: a thread reads, the newest frame wins."""

from __future__ import annotations

import abc
import logging
import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import SourceError, SourceHungError
from fer_edge.frames.opencv import Picture, as_frame_image
from fer_edge.records import Frame

READ_TIMEOUT_S = 0.8
"""How long one `read` waits for a new frame."""

GRACE_S = 1.0
"""How long a source may fail to deliver before it counts as gone: a USB camera drops a frame now and then."""

FIRST_FRAME_S = 10.0
"""The same for the first frame: cameras warm up, and a stream begins at its next key frame."""

FROZEN_S = 3.0
"""How long the driver's time stamp may stand still before the camera counts as frozen."""

HUNG_S = 2.5
"""How long a read may stay inside the driver, once there was a frame; OpenCV's V4L2 comes back after two seconds."""

CLOSE_TIMEOUT_S = 0.5

_RETRY_S = 0.05

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Picture:
    image: NDArray[np.uint8]
    time: float
    captured: float
    capture_ms: float
    buffer: Picture


class LiveCapture(abc.ABC):
    """A camera or stream that is read in a thread of its own, so that a slow loop never sees old frames.

    The thread is a daemon: a read that is stuck in the kernel keeps neither `close` nor the process.
    `Frame.time` and `captured` are taken when the driver hands the frame over; `capture_ms` is decoding
    alone. A frame's buffer is written again only after the next `read`. A frame with the time stamp of
    the one before is the same frame, and is not handed on; a dark picture with a new one is.

    Attributes:
        name: what frames say as their source.
        dropped: frames that arrived and were replaced by a newer one before they were read.
        interval_s: time between two frames as it was asked for; so much more patience there is.
    """

    hung_s = HUNG_S
    interval_s = 0.0

    def __init__(self, name: str, *, open_timeout_s: float) -> None:
        """Open it; at most `open_timeout_s` seconds.

        Raises:
            SourceError: it cannot be opened.
        """
        self.name = name
        self.dropped = 0
        self._changed = threading.Condition()
        self._opened = False
        self._closing = False
        self._error: SourceError | None = None
        self._fresh: _Picture | None = None
        self._held: _Picture | None = None
        self._spare: list[Picture] = []
        self._size: tuple[int, int] | None = None
        self._entered: float | None = None
        self._limit_s = FIRST_FRAME_S
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)
        self._thread.start()
        self._wait_until_open(open_timeout_s)

    @abc.abstractmethod
    def _open(self) -> cv2.VideoCapture:
        """Open the device, in the thread; raises SourceError."""

    @abc.abstractmethod
    def _advice(self) -> str:
        """What to do where it stopped; the end of a sentence."""

    def _stamp(self, capture: cv2.VideoCapture) -> float | None:
        """The driver's time stamp of the frame that was grabbed last, in any unit; None where there is none."""
        return None

    def _late(self, sentence: str) -> SourceError:
        """What to raise where opening does not come back."""
        return SourceHungError(sentence)

    def read(self) -> Frame | None:
        """The newest frame that has not been read yet; never None.

        Raises:
            TimeoutError: none arrived within `READ_TIMEOUT_S`.
            SourceError: it stopped.
            SourceHungError: a read of the driver does not come back.
        """
        with self._changed:
            if self._closing:
                raise SourceError(f"{self.name} is closed")
            entered = self._entered
            left_s = READ_TIMEOUT_S if entered is None else entered + self._limit_s - time.monotonic()
            self._changed.wait_for(
                lambda: self._fresh is not None or self._error is not None, min(READ_TIMEOUT_S, max(left_s, 0.0))
            )
            entered = self._entered
            picture, self._fresh = self._fresh, None
            if picture is not None:
                if self._held is not None:
                    self._spare.append(self._held.buffer)
                self._held = picture
            elif self._error is not None:
                # A new one: the stored one would keep this frame's pictures alive by its traceback.
                raise type(self._error)(str(self._error))
            elif entered is not None and time.monotonic() - entered >= self._limit_s:
                sentence = f"{self.name} has hung inside its driver for {self._limit_s:g} s; {self._advice()}"
                self._error = SourceHungError(sentence)
                raise SourceHungError(sentence)
            else:
                raise TimeoutError(f"no new frame from {self.name} yet")
        return Frame(
            image=picture.image,
            time=picture.time,
            captured=picture.captured,
            source=self.name,
            capture_ms=picture.capture_ms,
        )

    def close(self) -> None:
        """Stop reading, within a second even where a read hangs; may be called twice."""
        with self._changed:
            self._closing = True
        if not isinstance(self._error, SourceHungError):
            self._thread.join(CLOSE_TIMEOUT_S)

    def _wait_until_open(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._error is not None, timeout_s)
            if self._opened:
                return
            self._closing = True
            if self._error is not None:
                raise self._error
        raise self._late(f"{self.name} did not answer within {timeout_s:g} s; {self._advice()}")

    def _run(self) -> None:
        capture: cv2.VideoCapture | None = None
        try:
            capture = self._open()
            with self._changed:
                self._opened = True
                self._changed.notify_all()
            self._pump(capture)
        except SourceError as error:
            self._fail(error)
        except Exception as error:  # whatever the driver raised, the reader has to hear of it
            # Not its text: OpenCV's can hold the address with its password.
            self._fail(SourceError(f"{self.name} failed ({type(error).__name__}); {self._advice()}"))
        finally:
            if capture is not None:
                capture.release()

    def _fail(self, error: SourceError) -> None:
        with self._changed:
            self._error = error.with_traceback(None)
            self._changed.notify_all()

    def _pump(self, capture: cv2.VideoCapture) -> None:
        delivered = time.monotonic()
        patience_s = FIRST_FRAME_S
        last: float | None = None
        while not self._closing:
            self._entered = time.monotonic()
            grabbed = capture.grab()
            stamp = self._stamp(capture) if grabbed else None
            repeated = stamp is not None and stamp == last
            picture = self._take(capture) if grabbed and not repeated else None
            self._entered = None
            if picture is not None:
                delivered, patience_s, last = picture.captured, GRACE_S + self.interval_s, stamp
                self._hand_over(picture)
                continue
            silent_s = time.monotonic() - delivered
            frozen_s = FROZEN_S + self.interval_s
            if repeated and silent_s > frozen_s:
                raise SourceError(f"{self.name} has repeated one frame for {frozen_s:g} s; {self._advice()}")
            if not repeated and silent_s > patience_s:
                raise SourceError(f"{self.name} stopped delivering frames; {self._advice()}")
            time.sleep(_RETRY_S)

    def _take(self, capture: cv2.VideoCapture) -> _Picture | None:
        wall, captured = time.time(), time.monotonic()
        with self._changed:
            buffer = self._spare.pop() if self._spare else None
        try:
            good, buffer = capture.retrieve(buffer)
            if not good or buffer is None:
                return None
            image = as_frame_image(buffer)
        except (cv2.error, ValueError):
            return None  # one damaged JPEG of a camera is not its end
        took_ms = 1e3 * (time.monotonic() - captured)
        return _Picture(image, wall, captured, took_ms, buffer)

    def _hand_over(self, picture: _Picture) -> None:
        height, width = picture.image.shape[:2]
        if self._size not in (None, (width, height)):
            _log.warning("%s changed its frames to %dx%d", self.name, width, height)
        self._size = (width, height)
        self._limit_s = self.hung_s
        with self._changed:
            if self._fresh is not None:
                self.dropped += 1
                self._spare.append(self._fresh.buffer)
            self._fresh = picture
            self._changed.notify_all()
