"""A V4L2 camera where there is none, with every fault one could wish for: it stands in for `cv2.VideoCapture`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FAULTS = ("gone", "hang", "frozen", "garbage", "resized")
"""Unplugged; a read that never returns; one frame for ever; what is no picture; frames of another size."""

GARBAGE: tuple[Any, ...] = (
    None,
    np.zeros((0, 0, 3), np.uint8),
    np.zeros((120, 160), np.float32),
    np.zeros((120, 160, 2), np.uint8),
)
"""What drivers have been seen to deliver; None stands for a JPEG that cannot be decoded."""


class SimulatedCapture:
    """The calls of `cv2.VideoCapture` that fer-edge makes.

    Args:
        pictures: uint8, (height, width, 3), in turn.
        fault: asked before each frame: one of `FAULTS`, `dark` for a black picture, or empty.
        fps: frames per second.
    """

    def __init__(self, pictures: list[NDArray[np.uint8]], fault: Callable[[], str], *, fps: float = 30.0) -> None:
        self._pictures, self._fault, self._period = pictures, fault, 1 / fps
        self._number = 0
        self._stamp_ms = 1e3 * time.monotonic()
        self._due = time.monotonic()
        self._gone = fault() == "gone"
        self._state = ""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return not self._gone

    def set(self, prop: int, value: float) -> bool:
        return True

    def get(self, prop: int) -> float:
        height, width = self._pictures[0].shape[:2]
        known = {
            cv2.CAP_PROP_POS_MSEC: self._stamp_ms,
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
        }
        return float(known.get(prop, 0.0))

    def grab(self) -> bool:
        self._state = self._fault()
        if self._state == "hang":
            threading.Event().wait()
        self._gone = self._gone or self._state == "gone"
        if self._gone:
            return False
        self._due = max(self._due + self._period, time.monotonic() - self._period)
        time.sleep(max(0.0, self._due - time.monotonic()))
        if self._state != "frozen":
            self._number += 1
            self._stamp_ms = 1e3 * time.monotonic()
        return True

    def retrieve(self, buffer: Any = None) -> tuple[bool, Any]:
        picture = self._pictures[self._number % len(self._pictures)]
        if self._state == "garbage":
            odd = GARBAGE[self._number % len(GARBAGE)]
            if odd is None:
                raise cv2.error("the JPEG is damaged")
            return True, odd
        if self._state == "resized":
            return True, cv2.resize(picture, None, fx=0.5, fy=0.5)
        if buffer is None or buffer.shape != picture.shape or buffer.dtype != picture.dtype:
            buffer = np.empty_like(picture)
        buffer[...] = 0 if self._state == "dark" else picture
        return True, buffer

    def release(self) -> None:
        self._gone = True


def noise(*, width: int = 160, height: int = 120, count: int = 4) -> list[NDArray[np.uint8]]:
    """Pictures with nothing in them that anybody would take for a face."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 64, (height, width, 3), np.uint8) for _ in range(count)]
