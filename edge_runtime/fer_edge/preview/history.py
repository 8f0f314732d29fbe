"""What each face showed over the last minutes: for whoever opens the page later; labels only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fer_edge.records import FrameResult

SPAN_S = 180.0
"""How far back the timeline reaches, seconds."""

MAX_SEGMENTS = 600
"""Stretches kept at most, over all faces."""

GAP_S = 2.0
"""A face that was away for longer begins a new stretch, seconds."""


@dataclass(slots=True)
class _Segment:
    id: int
    label: str
    start: float
    end: float


class History:
    """Stretches of time during which a face kept its stable label."""

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque(maxlen=MAX_SEGMENTS)
        self._open: dict[int, _Segment] = {}

    def add(self, result: FrameResult) -> None:
        """Take one result; called a few times a second, with the newest."""
        now = result.time
        if self._segments and self._segments[-1].end > now + GAP_S:
            # The clock was set back: what lies in the future would stay for ever.
            self._segments = deque((s for s in self._segments if s.end <= now + GAP_S), maxlen=MAX_SEGMENTS)
        for face in result.faces:
            segment = self._open.get(face.id)
            if segment is None or segment.label != face.stable or not 0 <= now - segment.end <= GAP_S:
                segment = _Segment(face.id, face.stable, now, now)
                self._segments.append(segment)
                self._open[face.id] = segment
            segment.end = now
        for gone in [number for number, segment in self._open.items() if abs(now - segment.end) > GAP_S]:
            del self._open[gone]
        while self._segments and now - self._segments[0].end > SPAN_S:
            self._segments.popleft()

    def stretches(self) -> list[tuple[int, str, float, float]]:
        """Face id, stable label, start and end in seconds since the epoch, in order of their starts."""
        return [(s.id, s.label, s.start, s.end) for s in self._segments]
