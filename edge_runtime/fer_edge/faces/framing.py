"""From a detector's box to the crop that looks like a training picture.

What happens between the box and the network's input matters more than the network: through boxes that
frame a face differently from FER2013 the same network loses twelve points. So each detector carries
a `Framing`, measured on FER2013 pictures shown at 120 to 300 px in a 640x480 scene.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.grey import grey
from fer_edge.records import Box


def crop_gray(image: NDArray[np.uint8], square: Box, side: int) -> NDArray[np.uint8]:
    """Cut a square out of a picture as grey levels, uint8, (side, side), BT.601 luma; see `crop`."""
    return _crop(image, square, side, grey)


def crop(image: NDArray[np.uint8], square: Box, side: int) -> NDArray[np.uint8]:
    """Cut a square out of a picture, in the network's size.

    What lies outside the picture repeats its edge; nothing is squeezed. Only the pixels needed are
    read: a large crop is shrunk by area before it is padded.

    Args:
        image: uint8, (height, width) luma or (height, width, 3) BGR.
        square: x, y, side, side in pixels of `image`.
        side: width and height of the result in pixels.

    Returns:
        uint8, (side, side) or (side, side, 3), as `image`.
    """
    return _crop(image, square, side, lambda seen: seen)


def _crop(
    image: NDArray[np.uint8], square: Box, side: int, convert: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    x, y, extent, _ = square
    # At least one pixel of the picture is taken, also for a square that lies wholly outside.
    left, right = _visible(x, extent, width)
    top, bottom = _visible(y, extent, height)
    seen = image[top:bottom, left:right]
    zoom = side / extent
    cut = (min(side, max(1, round((right - left) * zoom))), min(side, max(1, round((bottom - top) * zoom))))
    taken = resized(convert(seen), cut)
    if cut == (side, side):
        return taken
    pad_left = min(max(round((left - x) * zoom), 0), side - cut[0])
    pad_top = min(max(round((top - y) * zoom), 0), side - cut[1])
    padded = cv2.copyMakeBorder(
        taken, pad_top, side - cut[1] - pad_top, pad_left, side - cut[0] - pad_left, cv2.BORDER_REPLICATE
    )
    return cast("NDArray[np.uint8]", padded)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of `size` (width, height): halved by area while it is twice as large or more, the rest linear.

    OpenCV halves by area twenty times faster than it shrinks by any other factor, and what is left
    after it, less than a half, has next to nothing to average.
    """
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * height, : 2 * width]
        image = cast("NDArray[np.uint8]", cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA))
    return cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))


def _visible(start: float, extent: float, limit: int) -> tuple[int, int]:
    first = min(max(round(start), 0), limit - 1)
    return first, min(max(round(start + extent), first + 1), limit)
