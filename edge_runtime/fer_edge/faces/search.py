"""Looking for faces where they should be, and everywhere only now and then.

Scanning a frame costs most of the time the loop has; a known face needs only a small window around
where it should be. So tracked faces are looked for in windows, and the whole frame is scanned on a
schedule, for new faces, and at once where a window turns out empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fer_edge.faces.tracking import overlap
from fer_edge.records import Box, Detection, Frame, Framing

SAME_FACE_OVERLAP = 0.4
"""Detections of two windows that share more than this are one face."""

LEAST_OVERLAP = 0.5
"""Intersection over union of a face and where it should be: what shares less is another face, or none."""


class Finder(Protocol):
    """A detector that can search a whole frame and a part of it."""

    name: str
    framing: Framing

    def scan(self, frame: Frame) -> Sequence[Detection]:
        """All faces, in pixels of `frame.image`."""
        ...

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        """Faces of about the size of `box` in a window around it, in pixels of `frame.image`."""
        ...


class FaceSearch:
    """Satisfies `FaceDetector` with a finder's windows and scans.

    Args:
        finder: does the work.
        scan_interval_s: time between two scans while faces are known, seconds of the source's clock;
            0 scans every frame.
        max_windows: with more faces than this a scan is cheaper than as many windows.
    """

    def __init__(self, finder: Finder, *, scan_interval_s: float = 0.35, max_windows: int = 6) -> None:
        self.name, self.framing = finder.name, finder.framing
        self._finder = finder
        self._scan_interval_s, self._max_windows = scan_interval_s, max_windows
        self._scanned = float("-inf")

    def detect(self, frame: Frame, expected: Sequence[Box] = ()) -> Sequence[Detection]:
        """Faces in pixels of `frame.image`.

        Args:
            frame: where to look.
            expected: where the faces of the frame before should be by now.
        """
        # A clock that went backwards would otherwise put the next scan off for as long.
        waited = frame.captured - self._scanned
        if 0 <= waited < self._scan_interval_s and 0 < len(expected) <= self._max_windows:
            found = self._look_at(frame, expected)
            if found is not None:
                return found
        self._scanned = frame.captured
        return self._finder.scan(frame)

    def _look_at(self, frame: Frame, expected: Sequence[Box]) -> list[Detection] | None:
        """One face for each expected one; None as soon as one is not where it should be."""
        found: list[Detection] = []
        for box in expected:
            near = [near for near in self._finder.look(frame, box) if overlap(near.box, box) >= LEAST_OVERLAP]
            if not near:
                return None
            # A neighbour may stand in the same window.
            best = max(near, key=lambda detection: overlap(detection.box, box))
            if all(overlap(best.box, other.box) < SAME_FACE_OVERLAP for other in found):
                found.append(best)
        return found


def window_around(box: Box, factor: float) -> Box:
    """The square around a box's centre whose side is `factor` times the box's longer side."""
    x, y, width, height = box
    side = factor * max(width, height)
    return (x + (width - side) / 2, y + (height - side) / 2, side, side)
