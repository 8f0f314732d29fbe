"""The picture on the live page: copied out of the loop, made unrecognisable where that is asked, encoded once."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.records import Box, Frame

MAX_WIDTH = 960
"""Wider pictures are shrunk, pixels: a page is seldom wider, and each pixel has to be encoded and sent."""

JPEG_QUALITY = 80

BLUR_CELLS = 6
"""A blurred face keeps so many cells across and down: what an expression is cannot be read from it, nor who."""

COARSE_CELLS = 40
"""So many cells along its longer side keeps all of a blurred picture: somebody who came in just now, or whom the
detector does not see, is in it, too. A face as wide as a quarter of the picture has ten."""

BLUR_MARGIN = 0.35
"""How far a blurred region reaches beyond the box on each side, in box sides: boxes end at forehead and chin."""


class Snapshot:
    """Pixels of one frame in a buffer of their own: sources use theirs again.

    Attributes:
        view: x, y, width and height of the picture in the full frame, pixels; None before the first.
    """

    def __init__(self) -> None:
        self.view: tuple[int, int, int, int] | None = None
        self._pixels: NDArray[np.uint8] = np.empty((0, 0), np.uint8)

    def take(self, frame: Frame) -> None:
        """Copy the frame's picture."""
        image = frame.image
        if self._pixels.shape != image.shape:
            self._pixels = np.empty(image.shape, np.uint8)
        np.copyto(self._pixels, image)
        self.view = (*frame.offset, image.shape[1], image.shape[0])

    def jpeg(self, blurred: Iterable[Box] | None = None) -> bytes:
        """The picture as JPEG, at most `MAX_WIDTH` wide.

        Args:
            blurred: where faces are, in pixels of the full frame: with these, if only with none, everything is made
                coarse (`COARSE_CELLS`) and they are made coarser; None leaves the picture as it is.
        """
        assert self.view is not None, "no frame was taken"
        x, y, width, height = self.view
        if blurred is not None:
            for box in blurred:
                blur(self._pixels, (box[0] - x, box[1] - y, box[2], box[3]))
            _average(self._pixels, COARSE_CELLS / max(width, height))
        picture = self._pixels
        if width > MAX_WIDTH:
            size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).view(np.uint8)
        encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert encoded, f"OpenCV encodes no JPEG of {picture.shape}"
        return data.tobytes()


def blur(image: NDArray[np.uint8], box: Box) -> None:
    """Make what is in and closely around a box unrecognisable, in place.

    The region is averaged down to `BLUR_CELLS` cells across and down, which nothing can undo.

    Args:
        image: uint8, (height, width) or (height, width, 3).
        box: in its pixels; may leave the image.
    """
    x, y, width, height = box
    left, top = round(x - BLUR_MARGIN * width), round(y - BLUR_MARGIN * height)
    right, bottom = round(x + (1 + BLUR_MARGIN) * width), round(y + (1 + BLUR_MARGIN) * height)
    region = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if region.size == 0:
        return
    _average(region, (BLUR_CELLS / region.shape[1], BLUR_CELLS / region.shape[0]))


def _average(region: NDArray[np.uint8], share: float | tuple[float, float]) -> None:
    """Keep so many cells a pixel, in place, in both directions or across and down."""
    across, down = share if isinstance(share, tuple) else (share, share)
    height, width = region.shape[:2]
    size = (max(1, round(min(across, 1.0) * width)), max(1, round(min(down, 1.0) * height)))
    cells = cv2.resize(region, size, interpolation=cv2.INTER_AREA)
    region[...] = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
