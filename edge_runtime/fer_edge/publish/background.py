"""A sink that works in threads of its own, so that a slow disk, pipe or network never stalls the loop."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from fer_edge.contract.errors import PublishError
from fer_edge.publish.event import Event
from fer_edge.publish.health import SinkHealth

_log = logging.getLogger(__name__)

CAPACITY = 64
"""Events that may wait: two seconds at 30 frames a second."""

CLOSE_S = 1.0
"""How long closing waits for what is pending, seconds."""

DRAIN_S = 0.02
"""How often it is looked whether everything is delivered, seconds."""

RETRY_S = 1.0
"""Pause before the first further attempt, seconds; doubled before each one after it."""


class UndeliveredError(PublishError):
    """One event did not get through; the sink itself can go on.

    Args:
        message: why; the end of a sentence that begins with the sink's name.
        again: another attempt may help.
    """

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Worker(Protocol):
    """What a `BackgroundSink` drives: an `EventSink` that may take its time and keeps no counters.

    Attributes:
        name, every_frame: as in `EventSink`.
    """

    name: str
    every_frame: bool

    def publish(self, event: Event) -> None:
        """Deliver one event; returns when it is delivered.

        Raises:
            UndeliveredError: this event did not get through.
            PublishError: the sink cannot go on.
        """
        ...

    def close(self) -> None:
        """Let go; called from the last thread that worked."""
        ...


class BackgroundSink:
    """Hands events to a worker's threads; satisfies `EventSink`.

    Where the queue is full, an event of a live source takes the place of the oldest one, which is
    counted as dropped. An event of a file waits, since files are to be read completely, unless `lossy`.

    Args:
        sink: does the work, its closing included.
        lossy: never wait, for files either: for what depends on somebody else's machine.
        threads: how many events are worked on at a time; with more than one their order is open.
        retries: further attempts at an event for which they may help.
        limit_s: how long one attempt may rightly take, seconds.
        abandon: called where closing waits no longer, while the worker still works.
    """

    def __init__(
        self, sink: Worker, *, lossy: bool = False, threads: int = 1, retries: int = 0, limit_s: float = 0.0,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.name, self.every_frame = sink.name, sink.every_frame
        self._sink, self._lossy, self._retries, self._limit_s = sink, lossy, retries, limit_s
        self._abandon = abandon
        self._abandoned = False
        self._events: queue.Queue[Event | None] = queue.Queue(CAPACITY)
        self._failure: Exception | None = None
        self._closing = threading.Event()
        self._counting = threading.Lock()
        self._taken = self._delivered = self._dropped = self._refused = 0
        self._in_hand = 0
        self._progress = self._rests_until = time.monotonic()
        self._troubled = False
        self._left = threads
        self._threads = [
            threading.Thread(target=self._work, name=f"publish {sink.name}", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def publish(self, event: Event) -> None:
        """Take one event, without waiting for a live source.

        Raises:
            PublishError: the sink failed at an earlier event; so does any other error of the sink.
        """
        self._raise_failure()
        waits = not (self._lossy or event.result.live)
        while True:
            try:
                self._events.put(event, block=waits, timeout=0.1)
                self._taken += 1
                return
            except queue.Full:
                # A worker that failed meanwhile takes nothing any more.
                self._raise_failure()
                if not waits:
                    self._drop_oldest()

    def health(self) -> SinkHealth:
        """The sink's counters."""
        queued, now = self._events.qsize(), time.monotonic()
        with self._counting:
            resting = not (queued or self._in_hand)
            rightly = now - max(self._progress, self._rests_until) < self._limit_s
            return SinkHealth(
                name=self.name,
                queued=queued,
                delivered=self._delivered,
                dropped=self._dropped,
                refused=self._refused,
                last_progress=now if resting or rightly else self._progress,
            )

    def drain(self) -> None:
        """Wait until everything is delivered, as events of a file do, unless this sink is `lossy` or has failed."""
        while not self._lossy and self._failure is None and self._unfinished():
            time.sleep(DRAIN_S)

    def close(self) -> None:
        """Wait up to a second for what is pending.

        Raises:
            PublishError: the sink failed at one of the last events; so does any other error of the sink.
        """
        deadline = time.monotonic() + CLOSE_S
        if not self._closing.is_set():
            self._closing.set()
            with contextlib.suppress(queue.Full):
                for _ in self._threads:
                    self._events.put(None, timeout=max(0.0, deadline - time.monotonic()))
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if any(thread.is_alive() for thread in self._threads):
                self._abandoned = True
                self._abandon()
                _log.warning("%s did not take the last %d events within a second", self.name, self._events.qsize())
            if self._dropped:
                _log.warning("%s was too slow for %d events, which were dropped", self.name, self._dropped)
            if self._refused:
                _log.warning("%s did not take %d events", self.name, self._refused)
        self._raise_failure()

    def _unfinished(self) -> bool:
        with self._counting:
            return self._taken > self._delivered + self._dropped + self._refused

    def _drop_oldest(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._events.get_nowait()
            with self._counting:
                self._dropped += 1

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _work(self) -> None:
        try:
            while (event := self._events.get()) is not None and not self._abandoned:
                self._begin()
                delivered = self._delivered_somehow(event)
                with self._counting:
                    self._in_hand -= 1
                    self._progress = time.monotonic()
                    self._delivered += delivered
                    self._refused += not delivered
        except Exception as error:  # it is raised in the loop: a thread that died unheard would stall it
            self._failure = error
        finally:
            with self._counting:
                self._left -= 1
                last = self._left == 0
            if last:
                self._sink.close()

    def _begin(self) -> None:
        with self._counting:
            self._in_hand += 1
            self._progress = time.monotonic()

    def _delivered_somehow(self, event: Event) -> bool:
        for attempt in range(self._retries + 1):
            try:
                self._sink.publish(event)
            except UndeliveredError as error:
                if not self._troubled:
                    self._troubled = True
                    _log.warning("%s %s; this is said once until an event gets through", self.name, error)
                if not error.again or attempt == self._retries:
                    return False
                pause_s = RETRY_S * 2**attempt
                # A server that is away is no standstill of ours.
                self._rests_until = time.monotonic() + pause_s
                if self._closing.wait(pause_s):
                    return False
                self._progress = time.monotonic()
            else:
                if self._troubled:
                    self._troubled = False
                    _log.info("%s takes events again", self.name)
                return True
        return False
