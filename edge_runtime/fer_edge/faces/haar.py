"""Viola and Jones' cascade of Haar features (CVPR 2001), as OpenCV ships it: needs no weights file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DetectorError
from fer_edge.contract.grey import grey
from fer_edge.faces.framing import crop_gray, resized
from fer_edge.faces.search import Scan, window_around
from fer_edge.records import Box, Detection, Frame, Framing

WORKING_WIDTH = 640
"""Frames are brought to this width: at 320 the cascade finds 42 of 109 faces that it finds at 640."""

WINDOW_SIDE = 64
WINDOW_FACTOR = 1.5
"""A window in which a known face has 43 pixels; side of the window over that of the face. Of 36 faces it finds 35,
as one of 120 pixels does in three times the time."""
SCAN_STEP, SCAN_NEIGHBORS = 1.2, 4
"""Ratio of successive sizes of a face, and windows that must agree. With 1.1 and 5 the same 33 of 34 faces
are found in nearly twice the time."""
LOOK_STEP, LOOK_NEIGHBORS = 1.1, 2
"""With 3 a known face of one clip is lost nine times in 109 frames, and each costs a scan; with 2 four times."""
LOOK_SIZES = (0.8, 1.25)
"""Smallest and largest face in a window, over the one that is expected."""


class HaarDetector:
    """Finds upright frontal faces; has no score and no landmarks.

    Args:
        min_face: smallest face in pixels of the frame.

    Raises:
        DetectorError: this OpenCV has no cascades.
    """

    name = "haar"
    framing = Framing(scale=0.98, rise=0.0)

    def __init__(self, *, min_face: int = 24) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        path = Path(folder) / "haarcascade_frontalface_default.xml"
        if not folder or not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} carries no Haar cascades; install 'opencv-python-headless>=4.10,<5', "
                "or use YuNet: fer-edge model pull yunet"
            )
        # A cascade holds buffers of its picture, so that two threads need two.
        self._scanner, self._looker = (cv2.CascadeClassifier(str(path)) for _ in range(2))
        self._min_face = min_face

    def scan(self, frame: Frame) -> Sequence[Detection]:
        """All faces in pixels of `frame.image`."""
        return self.prepare_scan(frame)()

    def prepare_scan(self, frame: Frame, *, mirrored: bool = False) -> Scan:
        """What `scan` finds, for later, with a grey copy of the frame, or in its mirror image."""
        image = frame.image
        zoom = WORKING_WIDTH / image.shape[1]
        if zoom != 1:
            image = resized(image, (WORKING_WIDTH, max(1, round(image.shape[0] * zoom))))
        # Grey after it was resized: in the other order the cascade finds a twelfth less on one clip.
        levels = image.copy() if image is frame.image and image.ndim == 2 else grey(image)
        smallest = max(24, round(self._min_face * zoom))

        def scan() -> Sequence[Detection]:
            return _faces(
                self._scanner, levels, mirrored, (0.0, 0.0), 1 / zoom,
                scaleFactor=SCAN_STEP, minNeighbors=SCAN_NEIGHBORS, minSize=(smallest, smallest),
            )  # fmt: skip

        return scan

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        """Faces of about the size of `box` in a window around it, in pixels of `frame.image`."""
        window = window_around(box, WINDOW_FACTOR)
        zoom = window[2] / WINDOW_SIDE
        face = WINDOW_SIDE / WINDOW_FACTOR
        smallest, largest = (round(size * face) for size in LOOK_SIZES)
        return _faces(
            self._looker, crop_gray(frame.image, window, WINDOW_SIDE), False, window[:2], zoom,
            scaleFactor=LOOK_STEP, minNeighbors=LOOK_NEIGHBORS,
            minSize=(smallest, smallest), maxSize=(largest, largest),
        )  # fmt: skip


def _faces(
    cascade: cv2.CascadeClassifier, levels: NDArray[np.uint8], mirrored: bool, corner: tuple[float, float], zoom: float,
    **how: Any,
) -> list[Detection]:  # fmt: skip
    width = levels.shape[1]
    found = cascade.detectMultiScale(cv2.flip(levels, 1) if mirrored else levels, **how)
    return [
        Detection(((width - x - w if mirrored else x) * zoom + corner[0], y * zoom + corner[1], w * zoom, h * zoom))
        for x, y, w, h in found
    ]
