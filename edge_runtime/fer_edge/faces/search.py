"""Looking for faces where they should be, and everywhere only now and then.

Scanning a frame costs most of the time the loop has; a known face needs only a small window around
where it should be. So tracked faces are looked for in windows. For new ones the whole frame is scanned
on a schedule, by a thread beside the loop, and the loop waits for a scan only where it knows of no
face or a window turned out empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from fer_edge.faces.tracking import overlap
from fer_edge.records import Box, Detection, Frame, Framing

SAME_FACE_OVERLAP = 0.4
"""Detections of two windows that share more than this are one face."""

LEAST_OVERLAP = 0.5
"""Intersection over union of a face and where it should be: what shares less is another face, or none."""

SCAN_TIME_S = 0.15
"""After so much of a file's own time a scan beside the loop is waited for. Frames of a file come as fast as they
are read, and what is found in them must not depend on how fast this machine is. A live source's loop never waits."""

FIRST_INTERVAL = 0.125
"""Share of the interval between scans after which the first one comes when somebody came or was lost; people seldom
come alone. Every scan that finds nobody new doubles it."""

Scan = Callable[[], Sequence[Detection]]


class Finder(Protocol):
    """A detector that can search a whole frame and a part of it."""

    name: str
    framing: Framing

    def prepare_scan(self, frame: Frame) -> Scan:
        """What finds all faces, in pixels of `frame.image`, when it is called.

        It is called once, in any thread, while `look` may run, and needs nothing more of the frame's buffers.
        """
        ...

    def look(self, frame: Frame, box: Box) -> Sequence[Detection]:
        """Faces of about the size of `box` in a window around it, in pixels of `frame.image`."""
        ...


class FaceSearch:
    """Satisfies `FaceDetector` with a finder's windows and scans.

    Args:
        finder: does the work.
        scan_interval_s: longest time between two scans while faces are known, seconds of the source's clock;
            0 scans every frame, and waits for it.
        max_windows: with more faces than this a scan is cheaper than as many windows.
    """

    def __init__(self, finder: Finder, *, scan_interval_s: float = 0.5, max_windows: int = 16) -> None:
        self.name, self.framing = finder.name, finder.framing
        self._finder = finder
        self._scan_interval_s, self._max_windows = scan_interval_s, max_windows
        # Of one thread, since a finder's scans share its network.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self._scan: Future[Sequence[Detection]] | None = None
        self._began = float("-inf")
        self._interval_s = 0.0

    def detect(self, frame: Frame, expected: Sequence[Box] = ()) -> Sequence[Detection]:
        """Faces in pixels of `frame.image`.

        Args:
            frame: where to look.
            expected: where the faces of the frame before should be by now.
        """
        if self._scan_interval_s > 0 and 0 < len(expected) <= self._max_windows:
            known = self._look_at(frame, expected)
            if known is not None:
                return [*known, *self._new_faces(frame, known)]
        self._scan = None
        self._interval_s = FIRST_INTERVAL * self._scan_interval_s
        return self._begin(frame).result()

    def _look_at(self, frame: Frame, expected: Sequence[Box]) -> list[Detection] | None:
        """One face for each expected one; None as soon as one is not where it should be."""
        found: list[Detection] = []
        for box in expected:
            near = [near for near in self._finder.look(frame, box) if overlap(near.box, box) >= LEAST_OVERLAP]
            if not near:
                return None
            # A neighbour may stand in the same window.
            best = max(near, key=lambda detection: overlap(detection.box, box))
            if _is_new(best, found):
                found.append(best)
        return found

    def _new_faces(self, frame: Frame, known: Sequence[Detection]) -> list[Detection]:
        """Faces that a scan of an earlier frame found, where they are now; begins the next scan."""
        waited = frame.captured - self._began
        if self._scan is None:
            # A clock that went backwards would otherwise put the next scan off for as long.
            if not 0 <= waited < self._interval_s:
                self._scan = self._begin(frame)
            return []
        if not (self._scan.done() if frame.live else not 0 <= waited < SCAN_TIME_S):
            return []
        scan, self._scan = self._scan, None
        candidates = [seen for seen in scan.result() if _is_new(seen, known)]
        if not candidates:
            self._interval_s = min(2 * self._interval_s, self._scan_interval_s)
            return []
        self._interval_s = FIRST_INTERVAL * self._scan_interval_s
        if len(known) + len(candidates) <= self._max_windows:
            faces = self._look_at(frame, [seen.box for seen in candidates])
            if faces is not None:
                return [face for face in faces if _is_new(face, known)]
        # Somebody came who has moved on meanwhile, or a crowd.
        return [seen for seen in self._begin(frame).result() if _is_new(seen, known)]

    def _begin(self, frame: Frame) -> Future[Sequence[Detection]]:
        self._began = frame.captured
        return self._worker.submit(self._finder.prepare_scan(frame))


def _is_new(face: Detection, known: Sequence[Detection]) -> bool:
    return all(overlap(face.box, other.box) < SAME_FACE_OVERLAP for other in known)


def window_around(box: Box, factor: float) -> Box:
    """The square around a box's centre whose side is `factor` times the box's longer side."""
    x, y, width, height = box
    side = factor * max(width, height)
    return (x + (width - side) / 2, y + (height - side) / 2, side, side)
