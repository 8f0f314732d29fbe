"""Which frames are worth a message: stable changes, and one a second as a sign of life."""

from __future__ import annotations

import time
from collections.abc import Callable

from fer_edge.records import FrameResult

HEARTBEAT_S = 1.0
"""Time after which a frame is published although nothing has changed, seconds."""


class Changes:
    """Picks the frames in which the faces in view, or what they steadily show, are others than before.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: dict[int, str] | None = None
        self._last = 0.0

    def picks(self, result: FrameResult) -> bool:
        """Take one frame, also one without faces; True for a change, and for the heartbeat."""
        shown = {face.id: face.stable for face in result.faces}
        now = self._clock()
        if shown == self._shown and now - self._last < HEARTBEAT_S:
            return False
        self._shown, self._last = shown, now
        return True
