"""Detections of one frame joined to those of the frames before."""

from __future__ import annotations

from collections.abc import Sequence

from fer_edge.records import Box, Detection, Track

SURE_SCORE = 0.8
"""A detector that is so sure of a face is believed at once."""

OUTAGE_S = 3.0
"""So long without a frame, and three times as long as the time between the two before, is an outage: whoever is
there behind it need not be who was there before."""


class Tracker:
    """Greedy matching by overlap with constant-velocity prediction (after SORT, Bewley et al. 2016).

    Args:
        sightings: a face is reported from its n-th sighting on, so one false detection is none.
        sure_score: a detection with at least this score is reported at once.
        misses: a track ends after so many frames in a row without its face.
        min_overlap: smallest intersection over union with the predicted box.
    """

    def __init__(
        self, *, sightings: int = 2, misses: int = 15, min_overlap: float = 0.25, sure_score: float = SURE_SCORE
    ) -> None:
        self._sightings, self._misses, self._min_overlap = sightings, misses, min_overlap
        self._sure_score = sure_score
        self._states: list[_State] = []
        self._next_id = 1
        self._newest: float | None = None
        self._interval = float("inf")

    def update(self, detections: Sequence[Detection], captured: float) -> list[Track]:
        """Tracks seen in this frame, in order of their ids.

        Args:
            detections: of one frame.
            captured: monotonic time of that frame, seconds.
        """
        self._forget_after_outage(captured)
        if self._newest is not None:
            self._interval = captured - self._newest
        self._newest = captured
        pairs = sorted(
            (
                (overlap(state.predict(captured), detection.box), s, d)
                for s, state in enumerate(self._states)
                for d, detection in enumerate(detections)
            ),
            reverse=True,
        )
        free_states, free_detections = set(range(len(self._states))), set(range(len(detections)))
        for shared, s, d in pairs:
            if shared < self._min_overlap:
                break
            if s in free_states and d in free_detections:
                free_states.remove(s)
                free_detections.remove(d)
                self._states[s].see(detections[d], captured)
        for s in free_states:
            self._states[s].missed += 1
        self._states = [state for state in self._states if state.missed <= self._misses]
        for d in sorted(free_detections):
            self._states.append(_State(detections[d], captured))
        seen = []
        for state in self._states:
            known = state.id or state.seen >= self._sightings or (state.detection.score or 0.0) >= self._sure_score
            if state.missed == 0 and known:
                if state.id == 0:
                    state.id = self._new_id()
                seen.append(Track(state.id, state.newest))
        return sorted(seen, key=lambda track: track.id)

    def expected(self, captured: float) -> list[Detection]:
        """The faces of the newest frame where they should be at `captured` (monotonic seconds)."""
        self._forget_after_outage(captured)
        return [
            Detection(state.predict(captured), state.detection.score, predicted=True)
            for state in self._states
            if state.missed == 0
        ]

    def independent(self, detections: Sequence[Detection]) -> list[Track]:
        """Tracks of a picture that has nothing to do with the one before: each face is new."""
        return [Track(self._new_id(), detection) for detection in detections]

    def alive(self) -> set[int]:
        """Ids of the tracks that may be seen again."""
        return {state.id for state in self._states if state.id}

    def _forget_after_outage(self, captured: float) -> None:
        if self._newest is not None and captured - self._newest > max(OUTAGE_S, 3 * self._interval):
            self._states = []

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1


class _State:
    """One track: its newest sighting and how its centre moves, in pixels a second."""

    def __init__(self, detection: Detection, captured: float) -> None:
        self.id = 0
        self.detection = self.newest = detection
        self.captured = captured
        self.velocity = (0.0, 0.0)
        self.seen = 1
        self.missed = 0

    def predict(self, captured: float) -> Box:
        x, y, width, height = self.detection.box
        # A face does not fly on: after a short while without it, it is looked for where it was going.
        ahead = min(max(captured - self.captured, 0.0), 0.5)
        return (x + self.velocity[0] * ahead, y + self.velocity[1] * ahead, width, height)

    def see(self, detection: Detection, captured: float) -> None:
        self.newest, self.missed = detection, 0
        if detection.predicted:
            return
        elapsed = captured - self.captured
        if elapsed > 0:
            (x0, y0), (x1, y1) = _centre(self.detection.box), _centre(detection.box)
            # Half old, half new: boxes jitter by a few pixels from frame to frame.
            self.velocity = (
                0.5 * self.velocity[0] + 0.5 * (x1 - x0) / elapsed,
                0.5 * self.velocity[1] + 0.5 * (y1 - y0) / elapsed,
            )
        self.detection, self.captured = detection, captured
        self.seen += 1


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2] / 2, box[1] + box[3] / 2)
