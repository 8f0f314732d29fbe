"""From colour to grey levels, the same for the crops of the runtime and for the pictures a network is trained on."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

BT601, BT709 = "bt601", "bt709"
GREYS = (BT601, BT709)
"""Luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), which cameras, JPEG and the runtime use, and of BT.709
(0.213 R + 0.715 G + 0.072 B, as rounded by those who trained on it)."""

_BT709_OF_BGR = np.array([[0.072, 0.715, 0.213]])


def grey(image: NDArray[np.uint8], kind: str = BT601) -> NDArray[np.uint8]:
    """Grey levels (uint8, (height, width)) of a picture.

    Args:
        image: uint8, (height, width, 3) BGR, or grey levels, which are returned as they are.
        kind: one of `GREYS`.
    """
    if image.ndim == 2:
        return image
    if kind == BT601:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    return cast("NDArray[np.uint8]", cv2.transform(image, _BT709_OF_BGR))
