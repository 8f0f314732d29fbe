"""YuNet (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) through OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DetectorError
from fer_edge.faces.framing import crop_gray, resized
from fer_edge.faces.search import window_around
from fer_edge.records import Box, Detection, Frame, Framing

SCAN_SCORE = 0.5
"""Least score of a face found anywhere; a single false one is never reported (`Tracker`)."""
LOOK_SCORE = 0.4
"""Least score where a face is expected: of 290 faces 0.4 finds 94.8 % and 0.6 finds 91.7."""
NMS_THRESHOLD = 0.3
TOP_K = 500
WINDOW_SIDE = 96
"""Pixels. With 64, turned heads are lost."""
WINDOW_FACTOR = 1.4
"""Side of a window over the face's longer side; with 1.7 a tenth of the faces is lost."""


class YuNetDetector:
    """Finds faces and their eyes on a small version of the frame.

    Args:
        weights: the .onnx file (`fer-edge model pull yunet`).
        width: the frame is shrunk to this width in pixels; smaller ones are taken as they are.
        min_face: smallest face in pixels of the frame.

    Raises:
        DetectorError: OpenCV cannot load the weights.
    """

    name = "yunet"
    framing = Framing(scale=0.98, rise=0.01)

    def __init__(self, weights: Path, *, width: int = 416, min_face: int = 24) -> None:
        try:
            # Each size has a net of its own: changing a net's size costs more than a window.
            self._scanner, self._looker = (
                cv2.FaceDetectorYN.create(str(weights), "", (side, side), score, NMS_THRESHOLD, TOP_K)
                for side, score in ((width, SCAN_SCORE), (WINDOW_SIDE, LOOK_SCORE))
            )
        except cv2.error as error:
            raise DetectorError(
                f"YuNet's weights {weights} cannot be loaded ({error.err}); run: fer-edge model pull yunet --force"
            ) from error
        self._width = width
        self._min_face = min_face
        self._scan_size = (width, width)

    def scan(self, frame: Frame) -> Sequence[Detection]:
        """All faces in pixels of `frame.image`, with eyes and score."""
        image = frame.image
        small = image if frame.small is None else frame.small
        if small.shape[1] > self._width:
            size = (self._width, max(1, round(small.shape[0] * self._width / small.shape[1])))
            small = resized(small, size)
        size = (small.shape[1], small.shape[0])
        if self._scan_size != size:
            self._scan_size = size
            self._scanner.setInputSize(size)
        zoom = (image.shape[1] / size[0], image.shape[0] / size[1])
        return self._found(self._scanner, small, (0.0, 0.0), zoom)

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        """Faces in a window around `box`, in pixels of `frame.image`, with eyes and score."""
        window = window_around(box, WINDOW_FACTOR)
        patch = crop_gray(frame.image, window, WINDOW_SIDE)
        zoom = window[2] / WINDOW_SIDE
        return self._found(self._looker, patch, window[:2], (zoom, zoom))

    def _found(
        self, net: cv2.FaceDetectorYN, image: NDArray[np.uint8], corner: tuple[float, float], zoom: tuple[float, float]
    ) -> list[Detection]:
        _, rows = net.detect(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
        found = []
        for row in () if rows is None else np.asarray(rows, np.float64):
            width, height = row[2] * zoom[0], row[3] * zoom[1]
            if not (np.isfinite(row).all() and min(width, height) > 0 and max(width, height) >= self._min_face):
                continue
            x, y, *eyes = (float(v * zoom[n % 2] + corner[n % 2]) for n, v in enumerate(row[[0, 1, 4, 5, 6, 7]]))
            left, right = sorted(((eyes[0], eyes[1]), (eyes[2], eyes[3])))
            found.append(Detection((x, y, float(width), float(height)), float(row[14]), (left, right)))
        return found
