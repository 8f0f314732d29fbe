"""How fast a live source is looked at: no faster than asked, slower when nobody is there or the board is hot."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fer_edge.health import Health, read_health

_log = logging.getLogger(__name__)

HEALTH_INTERVAL_S = 5.0


class Pace:
    """Says how long to wait before the next frame.

    Args:
        max_fps: frames per second at most; None is no limit.
        idle_fps: frames per second once nobody was seen for `idle_after_s`; None keeps the pace.
        idle_after_s: seconds.
        health: reads the board's state; asked every 5 s.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        max_fps: float | None = None,
        idle_fps: float | None = None,
        idle_after_s: float = 30.0,
        health: Callable[[], Health] = read_health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_fps, self._idle_fps, self._idle_after_s = max_fps, idle_fps, idle_after_s
        self._health, self._clock = health, clock
        now = clock()
        self._began, self._seen = now, now
        self._health_read = float("-inf")
        self.slowed = False

    def start(self) -> None:
        """A frame begins."""
        self._began = self._clock()

    def pause_s(self, *, faces: bool) -> float:
        """Seconds to wait after the frame that began with `start`.

        Args:
            faces: whether somebody was seen in it.
        """
        now = self._clock()
        if faces:
            self._seen = now
        self._look_after_board(now)
        worked = max(now - self._began, 0.0)
        rates = [self._max_fps]
        if now - self._seen >= self._idle_after_s:
            rates.append(self._idle_fps)
        slowest = min((rate for rate in rates if rate), default=None)
        pause = max(0.0, 1.0 / slowest - worked) if slowest else 0.0
        # Resting as long as it worked halves the heat, whatever the frame rate.
        return max(pause, worked) if self.slowed else pause

    def _look_after_board(self, now: float) -> None:
        if 0 <= now - self._health_read < HEALTH_INTERVAL_S:
            return
        self._health_read = now
        health = self._health()
        if health.slowed and not self.slowed:
            degrees = "" if health.temperature_c is None else f" at {health.temperature_c:.0f} C"
            _log.warning("the processor is throttled%s; each frame is followed by as long a rest", degrees)
        elif self.slowed and not health.slowed:
            _log.info("the processor is no longer throttled; full pace")
        self.slowed = health.slowed
