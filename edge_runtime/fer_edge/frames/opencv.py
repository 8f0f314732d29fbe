"""OpenCV, kept from writing beside our own sentences, and its pictures as a Frame takes them."""

from __future__ import annotations

import os
from typing import Any, cast

# FFmpeg inside OpenCV reads this when the first video is opened; -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.integer[Any] | np.floating[Any]]
"""What OpenCV hands out, by its own stubs."""

if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def as_frame_image(picture: Picture) -> NDArray[np.uint8]:
    """A picture of any kind that OpenCV delivers as uint8, (height, width) or (height, width, 3) BGR.

    Args:
        picture: uint8 or uint16, (height, width) or (height, width, 1, 3 or 4); alpha is dropped.

    Returns:
        The picture itself, or a view of it, wherever it already fits.
    """
    deep = picture.dtype == np.uint16
    image = (picture.view(np.uint16) >> 8).astype(np.uint8) if deep else cast(NDArray[np.uint8], picture)
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        return image[:, :, :3].copy()
    return image
