"""Looking for faces where they should be, and everywhere only now and then.

Scanning a frame costs most of the time the loop has; a known face needs only a small window around
where it should be, and not in every frame: between two looks it goes on as it went. So tracked faces
are looked for in windows, ten times a second. For new ones the whole frame is scanned on a schedule.
A live source's loop does not wait for such a scan, which a thread makes beside it; it waits where it
knows of no face, where a window turned out empty, and for the scans of a file, whose result must not
depend on how fast the machine is. While nobody is there every other scan is of the mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from fer_edge.faces.tracking import SURE_SCORE, overlap
from fer_edge.records import Box, Detection, Frame, Framing

SAME_FACE_OVERLAP = 0.4
"""Detections of two windows that share more than this are one face."""

LEAST_OVERLAP = 0.5
"""Intersection over union of a face and where it should be: what shares less is another face, or none."""

SIZE_TIME_S = 0.15
"""Time constant with which a known face's size follows what its windows show. Faces change their size slowly, the
boxes of windows jitter, and a face that fills its window looks larger than it is, so that the next window would be
larger too, and so on. At 30 frames/s each window moves the size by a fifth of the difference: of 4,372 upscaled
faces three windows in a row lost 13.0 % instead of 15.6, and the true expression got 0.25 points more of the
probability."""

FIRST_INTERVAL = 0.2
"""Share of the longest interval between scans; see `FaceSearch`."""

Scan = Callable[[], Sequence[Detection]]


class Finder(Protocol):
    """A detector that can search a whole frame and a part of it."""

    name: str
    framing: Framing

    def prepare_scan(self, frame: Frame, *, mirrored: bool) -> Scan:
        """What finds all faces, in pixels of `frame.image`, when it is called, or those of its mirror image.

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
        look_interval_s: known faces are looked for in the first frame after so long, seconds of the source's clock;
            until then they are where they were going. In every frame while this is 0, and after somebody came or was
            lost, or two became one, until a scan finds nobody new.
        scan_interval_s: longest time between two scans while faces are known, seconds of the source's clock;
            0 scans every frame, and waits for it.
        first_interval: share of that time after which the first scan comes when somebody came or was lost, since
            people seldom come alone; every scan that finds nobody new doubles it.
        max_windows: with more faces than this a scan is cheaper than as many windows.
    """

    def __init__(
        self, finder: Finder, *, look_interval_s: float = 0.07, scan_interval_s: float = 1.0,
        first_interval: float = FIRST_INTERVAL, max_windows: int = 16,
    ) -> None:  # fmt: skip
        self.name, self.framing = finder.name, finder.framing
        self._finder = finder
        self._look_interval_s, self._scan_interval_s, self._max_windows = look_interval_s, scan_interval_s, max_windows
        self._first_interval_s = first_interval * scan_interval_s
        # Of one thread, since a finder's scans share its network.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self._scan: Future[Sequence[Detection]] | None = None
        self._began = float("-inf")
        self._mirrored = True
        self._newest = self._looked = float("-inf")
        self._calm = False
        self._interval_s = 0.0

    def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
        """As `FaceDetector.detect`."""
        elapsed = frame.captured - self._looked
        self._newest, goes_on = frame.captured, frame.captured > self._newest
        if self._scan_interval_s > 0 and 0 < len(expected) <= self._max_windows:
            # A clock that stands still is no reason to look no more.
            if self._calm and goes_on and elapsed < self._look_interval_s:
                return [*expected, *self._new_faces(frame, expected)]
            self._looked = frame.captured
            known = self._look_at(frame, [face.box for face in expected], elapsed)
            if known is not None:
                if len(known) < len(expected):
                    self._expect_changes()
                return [*known, *self._new_faces(frame, known)]
        self._scan, self._looked = None, frame.captured
        self._expect_changes()
        # A face that a detector fails to see is often seen in the mirror image; of stills each is the first.
        self._mirrored = not (expected or self._mirrored or frame.independent)
        return self._scanned(frame, mirrored=self._mirrored)

    def _look_at(self, frame: Frame, expected: Sequence[Box], elapsed: float) -> list[Detection] | None:
        """One face for each expected one; None as soon as one is not where it should be."""
        found: list[Detection] = []
        for box in expected:
            face = self._look(frame, box, elapsed)
            if face is None:
                return None
            if _is_new(face, found):
                found.append(face)
        return found

    def _look(self, frame: Frame, box: Box, elapsed: float) -> Detection | None:
        near = [near for near in self._finder.look(frame, box) if overlap(near.box, box) >= LEAST_OVERLAP]
        if not near:
            return None
        # A neighbour may stand in the same window.
        face = max(near, key=lambda detection: overlap(detection.box, box))
        # A clock that stands still or goes backwards says nothing about how long the face had to grow.
        share = 1.0 - math.exp(-elapsed / SIZE_TIME_S) if elapsed > 0 else 1.0
        return replace(face, box=_with_size_between(face.box, box, share))

    def _new_faces(self, frame: Frame, known: Sequence[Detection]) -> list[Detection]:
        """Faces that a scan found, where they are now; begins the next scan when it is time."""
        waited = frame.captured - self._began
        if self._scan is not None:
            if not self._scan.done():
                return []
            scan, self._scan = self._scan, None
            faces = self._by_now(frame, [face for face in scan.result() if _is_new(face, known)], len(known), waited)
        # A clock that went backwards would otherwise put the next scan off for as long.
        elif 0 <= waited < self._interval_s:
            return []
        elif frame.live:
            self._scan = self._worker.submit(self._prepared(frame))
            return []
        else:
            faces = self._scanned(frame)
        new: list[Detection] = []
        for face in faces:
            if _is_new(face, [*known, *new]):
                new.append(face)
        self._calm, self._interval_s = True, min(2 * self._interval_s, self._scan_interval_s)
        if new:
            self._expect_changes()
        return new

    def _expect_changes(self) -> None:
        """Somebody came or was lost, and people seldom come or go alone."""
        self._calm, self._interval_s = False, self._first_interval_s

    def _by_now(self, frame: Frame, seen: Sequence[Detection], known: int, waited: float) -> Sequence[Detection]:
        """Where the faces are that a scan saw `waited` seconds ago, beside so many known ones."""
        crowd = known + len(seen) > self._max_windows
        faces = [] if crowd else [self._look(frame, face.box, waited) for face in seen]
        if crowd or any(
            now is None and (then.score or 0.0) >= SURE_SCORE for then, now in zip(seen, faces, strict=True)
        ):
            # Somebody came who has moved on meanwhile. What is doubtful and gone was nobody.
            return self._scanned(frame)
        return [face for face in faces if face is not None]

    def _scanned(self, frame: Frame, *, mirrored: bool = False) -> Sequence[Detection]:
        scan = self._prepared(frame, mirrored=mirrored)
        # Of a live source one that nobody waits for any more may still be under way.
        return self._worker.submit(scan).result() if frame.live else scan()

    def _prepared(self, frame: Frame, *, mirrored: bool = False) -> Scan:
        self._began = frame.captured
        return self._finder.prepare_scan(frame, mirrored=mirrored)


def _is_new(face: Detection, known: Sequence[Detection]) -> bool:
    return all(overlap(face.box, other.box) < SAME_FACE_OVERLAP for other in known)


def _with_size_between(box: Box, former: Box, share: float) -> Box:
    """A box with its centre, and a size between a former box's (share 0) and its own (1)."""
    x, y, width, height = box
    new_width, new_height = former[2] * (width / former[2]) ** share, former[3] * (height / former[3]) ** share
    return (x + (width - new_width) / 2, y + (height - new_height) / 2, new_width, new_height)


def window_around(box: Box, factor: float) -> Box:
    """The square around a box's centre whose side is `factor` times the box's longer side."""
    x, y, width, height = box
    side = factor * max(width, height)
    return (x + (width - side) / 2, y + (height - side) / 2, side, side)
