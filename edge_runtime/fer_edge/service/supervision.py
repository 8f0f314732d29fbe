"""Keeps one run honest: alive only while frames come through and events go out, ended where it cannot end itself."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from fer_edge.contract.errors import SourceHungError
from fer_edge.health import read_health
from fer_edge.loop import Loop
from fer_edge.publish.health import SinkHealth
from fer_edge.records import FrameResult
from fer_edge.seams import FrameSource
from fer_edge.service.notify import Notifier

TICK_S = 0.25
STATUS_INTERVAL_S = 5.0

HUNG_S = 3.0
"""How long a live source's `read` may take; by its contract it is a second or so."""

STUCK_S = 10.0
"""How long an output may make no progress; half the watchdog's time where that is less."""

END_S = 5.0
"""How long a run may take to end once it was told to."""

HUNG_END_S = 0.5
"""The same where its camera hangs, which has taken some seconds already."""

_log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """A signal arrived while the main thread waited for an output."""


class Stop:
    """SIGINT and SIGTERM as an event; a second one ends the process as it usually would."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._waiting = False

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[Self]:
        """Listen to both signals while inside."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: object) -> None:
            self.event.set()
            signal.signal(number, before[signal.Signals(number)])
            if self._waiting:
                self._waiting = False
                raise Interrupted

        for number in before:
            signal.signal(number, stop)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def ends_waiting(self, result: FrameResult) -> Iterator[None]:
        """Let a signal end the wait for an output too: events of files wait for a reader that may never come.

        Raises:
            Interrupted: a signal arrived.
        """
        self._waiting = not result.live
        try:
            if self._waiting and self.event.is_set():
                raise Interrupted
            yield
        finally:
            self._waiting = False


@contextlib.contextmanager
def hang_up(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` on SIGHUP, in a service; with a terminal the signal means that this has gone."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL or _has_terminal():
        yield
        return
    signal.signal(signal.SIGHUP, lambda number, frame: request())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class Supervisor:
    """Watches a run from a thread of its own, and reports it to systemd.

    WATCHDOG=1 is sent with a new frame, and only while every output makes progress: it delivers, puts events on
    disk, or has nothing to do. A live source that does not come back from a read, and a run that does not end
    within five seconds of being told to, end the process: what is stuck in the kernel cannot be ended otherwise.

    Args:
        notifier: to systemd.
        stop: tells the run to end.
        end: ends the process at once with an exit code.
    """

    def __init__(self, notifier: Notifier, stop: threading.Event, *, end: Callable[[int], object] = os._exit) -> None:
        self._notifier, self._stop, self._end = notifier, stop, end
        self._loop: Loop | None = None
        self._source: FrameSource | None = None
        self._sinks: Callable[[], Sequence[SinkHealth]] = tuple
        self._on_tick: Callable[[], None] = lambda: None
        self._frames = 0
        self._latest: FrameResult | None = None
        self._stuck = False
        self._ending_since: float | None = None
        self._end_s = END_S
        self._reported = (time.monotonic(), 0)
        limit_s = notifier.watchdog_s
        self._stuck_s = STUCK_S if limit_s is None else min(STUCK_S, limit_s / 2)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if isinstance(error, SourceHungError):
            # All is closed that can be. The interpreter's own end could wait for the driver again.
            self._give_up(str(error))

    def watch(
        self, loop: Loop, source: FrameSource, sinks: Callable[[], Sequence[SinkHealth]], on_tick: Callable[[], None]
    ) -> None:
        """Begin to watch.

        Args:
            loop, source: of this run.
            sinks: asks the outputs how they are doing.
            on_tick: called four times a second, in the supervisor's thread.
        """
        self._source, self._sinks, self._on_tick = source, sinks, on_tick
        self._loop = loop

    def frame(self, result: FrameResult) -> None:
        """A frame came through the loop and was handed to the outputs."""
        self._latest = result
        self._frames += 1
        if self._frames == 1:
            self._notifier.ready()
        if not self._stuck:
            self._notifier.watchdog()

    def ending(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:  # fmt: skip
        """The run is on its way out, as the exit callback of a `with`; may be called twice."""
        if isinstance(error, SourceHungError):
            self._end_s = HUNG_END_S
        if self._ending_since is None:
            self._ending_since = time.monotonic()
            self._notifier.stopping()

    def _run(self) -> None:
        while not self._done.wait(TICK_S):
            now = time.monotonic()
            if self._stop.is_set():
                self.ending()
            if self._ending_since is not None:
                if now - self._ending_since > self._end_s:
                    self._give_up(f"the run did not end within {self._end_s:g} s: camera or output does not let go")
                continue
            if self._loop is None:
                continue
            self._check_read(self._loop, now)
            self._check_sinks(now)
            self._on_tick()
            self._report(self._loop, now)

    def _check_read(self, loop: Loop, now: float) -> None:
        since = loop.reading_since
        # A file may lie on a disk that has to spin up.
        live = self._latest is not None and self._latest.live
        if live and since is not None and now - since > HUNG_S:
            self._give_up(f"the camera has not come back from a read for {HUNG_S:g} s; start again")

    def _check_sinks(self, now: float) -> None:
        stuck = [sink.name for sink in self._sinks() if now - sink.last_progress > self._stuck_s]
        if stuck and not self._stuck:
            _log.error("%s has made no progress for %g s", " and ".join(stuck), self._stuck_s)
        self._stuck = bool(stuck)

    def _report(self, loop: Loop, now: float) -> None:
        began, frames = self._reported
        if now - began < STATUS_INTERVAL_S:
            return
        self._reported = (now, self._frames)
        trouble = getattr(self._source, "trouble", None)
        if trouble is not None:
            self._notifier.status(f"no frames: {trouble}; trying until it is back")
            return
        faces = len(self._latest.faces) if self._latest is not None else 0
        parts = [
            f"{(self._frames - frames) / (now - began):.1f} frames/s",
            f"{faces} face{'' if faces == 1 else 's'}",
            f"{loop.dropped} dropped",
        ]
        if loop.failures:
            parts.append(f"{loop.failures} failed")
        health = read_health()
        if health.temperature_c is not None:
            parts.append(f"{health.temperature_c:.0f} C{', throttled' if health.slowed else ''}")
        self._notifier.status(", ".join(parts) + ("; an output is stuck" if self._stuck else ""))

    def _give_up(self, why: str) -> None:
        _log.critical("%s", why)
        self._end(1)
        self._done.set()
