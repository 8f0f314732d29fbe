"""A camera where there is none: a real face that moves as people do in front of one."""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import SourceError
from fer_edge.frames.options import SourceOptions
from fer_edge.records import Frame

NAME = "demo"
DEFAULT_FPS = 30.0

_FACE = (222.0, 140.0)
"""A point of the picture a little below the face, in pixels: the view sways around it."""

_VIEW_WIDTH = 320.0
"""How much of the picture the camera sees across, in its pixels."""

_NOISE_MEAN, _NOISE_SIGMA = 16, 4.0
_NOISE_MARGIN = 64
_WAIT_S = 0.8


def picture_path() -> Path:
    """Where scikit-image keeps its astronaut, found without importing it.

    Raises:
        SourceError: scikit-image is not installed, or comes without the picture.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).with_name("data") / "astronaut.png"
        if path.is_file():
            return path
    raise SourceError(
        "the demo needs the picture that comes with scikit-image: pip install --no-deps scikit-image, "
        "or the 'demo' extra"
    )


class Demo:
    """Frames (uint8, (height, width, 3) BGR) in real time, never faster; each depends on its number alone.

    Attributes:
        dropped: frames that were due while nobody read.
    """

    def __init__(self, options: SourceOptions) -> None:
        """Load the picture.

        Raises:
            SourceError: there is none, or it is damaged.
        """
        path = picture_path()
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise SourceError(f"{path} cannot be decoded; install scikit-image again")
        self.dropped = 0
        self._picture = picture
        self._size = width, height = options.camera_size
        self._fps = options.fps or DEFAULT_FPS
        # Noise is drawn once; each frame takes another window of it.
        noise = np.random.default_rng(0).normal(
            _NOISE_MEAN, _NOISE_SIGMA, (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3)
        )
        self._noise = noise.clip(0, 255).astype(np.uint8)
        self._view: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
        self._lit: NDArray[np.uint8] = np.empty_like(self._view)
        self._start = time.monotonic()
        self._next = 0

    def read(self) -> Frame:
        """The frame that is due now.

        Raises:
            TimeoutError: the next one is due more than 0.8 s from now.
        """
        wait = self._start + self._next / self._fps - time.monotonic()
        if wait > _WAIT_S:
            time.sleep(_WAIT_S)
            raise TimeoutError("no new frame from the demo yet")
        if wait > 0:
            time.sleep(wait)
        captured = time.monotonic()
        number = max(self._next, int((captured - self._start) * self._fps))
        self.dropped += number - self._next
        self._next = number + 1
        wall = time.time()
        image = self.render(number)
        return Frame(
            image=image,
            time=wall,
            captured=captured,
            source=NAME,
            capture_ms=1e3 * (time.monotonic() - captured),
        )

    def render(self, number: int) -> NDArray[np.uint8]:
        """Frame `number` from 0: uint8, (height, width, 3) BGR; valid until the next call."""
        seconds = number / self._fps
        width, height = self._size
        # Periods with no common multiple, so that it does not look like a loop.
        zoom = max(width / _VIEW_WIDTH, height / 240.0) * (0.95 + 0.1 * math.sin(seconds * 0.61))
        sway = 3.0 * math.sin(seconds * 0.83)
        x = _FACE[0] + 28.0 * math.sin(seconds * 0.47) + 3.0 * math.sin(seconds * 2.9)
        y = _FACE[1] + 9.0 * math.sin(seconds * 0.71 + 1.0)
        affine = cv2.getRotationMatrix2D((x, y), sway, zoom)
        affine[:, 2] += np.array((width / 2 - x, height / 2 - y))
        cv2.warpAffine(self._picture, affine, self._size, self._view, borderMode=cv2.BORDER_REFLECT_101)
        light = 1.0 + 0.06 * math.sin(seconds * 0.39) + 0.01 * math.sin(seconds * 7.1)
        across, down = (number * 37) % _NOISE_MARGIN, (number * 23) % _NOISE_MARGIN
        noise = self._noise[down : down + height, across : across + width]
        cv2.addWeighted(self._view, light, noise, 1.0, -_NOISE_MEAN, self._lit)
        return self._lit

    def close(self) -> None:
        """Nothing to let go; may be called twice."""
