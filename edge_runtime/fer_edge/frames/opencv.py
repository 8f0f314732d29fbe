"""OpenCV, kept from writing beside our own sentences, and its pictures as a Frame takes them."""

from __future__ import annotations

import os
from typing import Any, cast

# FFmpeg inside OpenCV reads this when the first video is opened; -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# How long a V4L2 read waits for a frame, seconds: after OpenCV's own 10 nobody could tell it from a stuck driver.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.integer[Any] | np.floating[Any]]
"""What OpenCV hands out, by its own stubs."""

_CHANNELS = ((), (1,), (3,), (4,))

_LOG_LEVEL_ERROR = 2
if "OPENCV_LOG_LEVEL" not in os.environ:
    # OpenCV 4.13 moved it; bookworm's numpy needs an older one.
    _set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
    _set_level(_LOG_LEVEL_ERROR)


def as_frame_image(picture: Picture) -> NDArray[np.uint8]:
    """A picture of any kind that OpenCV delivers as uint8, (height, width) or (height, width, 3) BGR.

    Args:
        picture: uint8 or uint16, (height, width) or (height, width, 1, 3 or 4); alpha is dropped.

    Returns:
        The picture itself, or a view of it, wherever it already fits.

    Raises:
        ValueError: it is none of these, or empty.
    """
    if picture.dtype not in (np.uint8, np.uint16) or picture.size == 0 or picture.shape[2:] not in _CHANNELS:
        raise ValueError(f"a picture of {picture.dtype} {picture.shape} is neither grey nor colour of 8 or 16 bits")
    deep = picture.dtype == np.uint16
    image = (picture.view(np.uint16) >> 8).astype(np.uint8) if deep else cast("NDArray[np.uint8]", picture)
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 4:
        return image[:, :, :3].copy()
    return image
