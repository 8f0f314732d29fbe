"""YuNet (Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023) through OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_edge.contract.errors import DetectorError
from fer_edge.records import Detection, Frame, Framing

SCORE_THRESHOLD = 0.6
NMS_THRESHOLD = 0.3
TOP_K = 500


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
    framing = Framing(scale=1.10, rise=0.026)

    def __init__(self, weights: Path, *, width: int = 320, min_face: int = 48) -> None:
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(weights), "", (width, width), SCORE_THRESHOLD, NMS_THRESHOLD, TOP_K
            )
        except cv2.error as error:
            raise DetectorError(
                f"YuNet's weights {weights} cannot be loaded ({error.err}); run: fer-edge model pull yunet --force"
            ) from error
        self._width = width
        self._min_face = min_face
        self._input_size = (0, 0)

    def detect(self, frame: Frame) -> Sequence[Detection]:
        """Faces in pixels of `frame.image`, with eyes and score."""
        image = frame.image
        small = image if frame.small is None else frame.small
        if small.shape[1] > self._width:
            size = (self._width, max(1, round(small.shape[0] * self._width / small.shape[1])))
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        if small.ndim == 2:
            small = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
        if self._input_size != (small.shape[1], small.shape[0]):
            self._input_size = (small.shape[1], small.shape[0])
            self._net.setInputSize(self._input_size)
        _, rows = self._net.detect(small)
        if rows is None:
            return []
        zoom = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        found = []
        for row in np.asarray(rows, np.float64):
            x, y, width, height = row[:4] * np.tile(zoom, 2)
            if not (np.isfinite(row).all() and min(width, height) > 0 and max(width, height) >= self._min_face):
                continue
            left, right = sorted(map(tuple, (row[4:8].reshape(2, 2) * zoom).tolist()))
            found.append(Detection((x, y, width, height), float(row[14]), (left, right)))
        return found
