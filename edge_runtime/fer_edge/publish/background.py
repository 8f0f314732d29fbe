"""A sink that works in a thread of its own, so that a slow disk, pipe or network never stalls the loop."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading

from fer_edge.publish.event import Event
from fer_edge.seams import EventSink

_log = logging.getLogger(__name__)

CAPACITY = 64
"""Events that may wait: two seconds at 30 frames a second."""

CLOSE_S = 1.0
"""How long closing waits for what is pending, seconds."""


class BackgroundSink:
    """Hands events to another sink's thread; satisfies `EventSink`.

    Where the queue is full, an event of a live source takes the place of the oldest one, which is
    counted as dropped; an event of a file waits, since files are to be read completely.

    Args:
        sink: does the work, from one thread only, its closing included.

    Attributes:
        dropped: events that found no place.
    """

    def __init__(self, sink: EventSink) -> None:
        self.name, self.every_frame = sink.name, sink.every_frame
        self.dropped = 0
        self._sink = sink
        self._events: queue.Queue[Event | None] = queue.Queue(CAPACITY)
        self._failure: Exception | None = None
        self._worker = threading.Thread(target=self._work, name=f"publish {sink.name}", daemon=True)
        self._worker.start()

    def publish(self, event: Event) -> None:
        """Take one event, without waiting for a live source.

        Raises:
            PublishError: the sink failed at an earlier event; so does any other error of the sink.
        """
        self._raise_failure()
        live = event.result.live
        while True:
            try:
                self._events.put(event, block=not live, timeout=0.1)
                return
            except queue.Full:
                # A worker that failed meanwhile takes nothing any more.
                self._raise_failure()
                if live:
                    self._drop_oldest()

    def close(self) -> None:
        """Wait up to a second for what is pending.

        Raises:
            PublishError: the sink failed at one of the last events; so does any other error of the sink.
        """
        if self._worker.is_alive():
            with contextlib.suppress(queue.Full):
                self._events.put(None, timeout=CLOSE_S)
            self._worker.join(CLOSE_S)
            if self._worker.is_alive():
                _log.warning("%s did not take the last %d events within a second", self.name, self._events.qsize())
        if self.dropped:
            _log.warning("%s was too slow for %d events, which were dropped", self.name, self.dropped)
            self.dropped = 0
        self._raise_failure()

    def _drop_oldest(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._events.get_nowait()
            self.dropped += 1

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _work(self) -> None:
        try:
            while (event := self._events.get()) is not None:
                self._sink.publish(event)
        except Exception as error:  # it is raised in the loop: a thread that died unheard would stall it
            self._failure = error
        finally:
            self._sink.close()
