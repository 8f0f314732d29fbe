"""A USB or other V4L2 camera through OpenCV."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import cv2

from fer_edge.contract.errors import SourceError
from fer_edge.frames.devices import devices, probe
from fer_edge.frames.live import LiveCapture
from fer_edge.frames.options import SourceOptions

OPEN_TIMEOUT_S = 8.0

_log = logging.getLogger(__name__)


class V4L2Camera(LiveCapture):
    """A camera at a /dev/video node; frames are (height, width, 3) BGR, or luma from grey cameras."""

    def __init__(self, path: Path, options: SourceOptions, *, others: Sequence[Path] = ()) -> None:
        """Open it, asking for Motion-JPEG and the options' size and frames per second.

        Args:
            path: the node, or a link to it.
            options: what is asked of it.
            others: lasting names of the same camera; the first that is there is opened instead of `path`.

        Raises:
            SourceError: it is absent, not permitted, busy, or no camera.
        """
        self._path = path
        self._options = options
        self._others = others
        if options.fps is not None:
            self.interval_s = 1 / options.fps
        super().__init__(str(path), open_timeout_s=OPEN_TIMEOUT_S)

    def _open(self) -> cv2.VideoCapture:
        path = next((other for other in self._others if other.exists()), self._path)
        capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise SourceError(open_failure(path))
        size = self._options.camera_size
        # Raw frames fill a USB 2 bus; a camera that has no Motion-JPEG stays at what it has.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if self._options.fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._options.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        given = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if given != size:
            _log.info("%s delivers %dx%d instead of %dx%d", self.name, *given, *size)
        return capture

    def _stamp(self, capture: cv2.VideoCapture) -> float | None:
        # v4l2_buffer.timestamp; a driver that sets none leaves 0.
        return capture.get(cv2.CAP_PROP_POS_MSEC) or None

    def _advice(self) -> str:
        if not any(path.exists() for path in (self._path, *self._others)):
            return "it was unplugged; plug it in again"
        return "check its cable and power, unplug it and plug it in again"


def open_failure(path: Path) -> str:
    """Why the camera at `path` could not be opened, and what to do, in one sentence."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except FileNotFoundError:
        others = ", ".join(str(device.path) for device in devices(path.parent))
        return f"there is no camera at {path}; plug it in" + (f", or use {others}" if others else "")
    except PermissionError:
        return f"{path} may not be opened: sudo usermod -aG video $USER, then log in again"
    except OSError as error:
        if error.errno == errno.EBUSY:
            return _busy(path)
        return f"{path} cannot be opened ({error.strerror}); unplug the camera and plug it in again"
    if probe(path).captures is False:
        return f"{path} is not a camera that delivers frames; fer-edge cameras lists those that do"
    return _busy(path)


def _busy(path: Path) -> str:
    return f"the camera {path} is in use by another program: fuser -v {path} names it; stop that program"
