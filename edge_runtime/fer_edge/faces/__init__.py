"""Where faces are: detectors by name, and tracking."""

from __future__ import annotations

import logging

from fer_edge.contract.errors import DetectorError
from fer_edge.faces.search import FaceSearch
from fer_edge.faces.weights import find_yunet
from fer_edge.seams import FaceDetector

log = logging.getLogger(__name__)

DETECTORS = ("auto", "haar", "yunet")


def open_detector(
    name: str,
    *,
    width: int = 512,
    min_face: int = 24,
    look_interval_s: float = 0.07,
    scan_interval_s: float = 1.0,
    threads: int = 1,
    scan_threads: int = 1,
) -> FaceDetector:
    """Make the detector called `name`; `auto` is YuNet where its weights are installed, else Haar.

    Args:
        name: one of `DETECTORS`.
        width: width in pixels that YuNet looks at.
        min_face: smallest face in pixels of the frame.
        look_interval_s: a known face is looked for in the first frame after so long, seconds.
        scan_interval_s: longest time between two scans of the whole frame while faces are known, seconds.
        threads: that YuNet looks at windows with.
        scan_threads: that YuNet scans with.

    Raises:
        DetectorError: YuNet was asked for and its weights are not there or cannot be loaded.
    """
    weights = find_yunet() if name in ("auto", "yunet") else None
    if weights is None and name == "yunet":
        raise DetectorError("YuNet's weights are not installed; run: fer-edge model pull yunet")
    if weights is None:
        from fer_edge.faces.haar import HaarDetector

        if name == "auto":
            log.warning("YuNet's weights are not installed, so Haar looks for faces; run: fer-edge model pull yunet")
        finder = HaarDetector(min_face=min_face)
        # A scan of Haar's takes many times as long as one of YuNet's, so none comes in haste.
        return FaceSearch(finder, look_interval_s=look_interval_s, scan_interval_s=scan_interval_s, first_interval=1.0)
    from fer_edge.faces.yunet import YuNetDetector

    yunet = YuNetDetector(weights, width=width, min_face=min_face, threads=threads, scan_threads=scan_threads)
    return FaceSearch(yunet, look_interval_s=look_interval_s, scan_interval_s=scan_interval_s)
