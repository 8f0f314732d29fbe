"""All sinks of a run as one: an event is made once, and a sink that fails does not stop the others."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable

from fer_edge.contract.closing import Closing
from fer_edge.contract.errors import PublishError, ReaderGoneError
from fer_edge.publish.background import BackgroundSink
from fer_edge.publish.event import Event
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.spec import SinkContext
from fer_edge.records import FrameResult
from fer_edge.seams import EventSink

_log = logging.getLogger(__name__)


class Sinks(Closing):
    """Publishes each result to every sink that still works.

    A sink that raises PublishError is closed and left out, with one line in the log; the others go on,
    and leaving the `with` block raises the first such error, so that the run ends with exit 1. A reader
    that has left (`| head`) is no failure.

    Args:
        sinks: opened; closed at the end, also when closing one of them fails.
        context: device and run, for the events.
    """

    def __init__(self, sinks: Iterable[EventSink], context: SinkContext) -> None:
        self._context = context
        self._sinks = list(sinks)

    def publish(self, result: FrameResult) -> bool:
        """Give one result to all sinks; frames without faces only to those that want them.

        Returns:
            False once no sink is left: the run is over.
        """
        event = Event(result=result, device=self._context.device, run=self._context.run)
        for sink in tuple(self._sinks):
            if not (result.faces or sink.every_frame):
                continue
            try:
                sink.publish(event)
            except PublishError as error:
                self._leave_out(sink, error)
        return bool(self._sinks)

    def drain(self) -> None:
        """Wait until the outputs that lose no event of a file have all of them."""
        for sink in tuple(self._sinks):
            if isinstance(sink, BackgroundSink):
                sink.drain()

    def health(self) -> tuple[SinkHealth, ...]:
        """The counters of each sink that still works; may be asked from any thread."""
        return tuple(sink.health() for sink in tuple(self._sinks))

    def close(self) -> None:
        """Close all sinks; may be called twice."""
        with contextlib.ExitStack() as stack:
            while self._sinks:
                stack.callback(self._close_one, self._sinks.pop())

    def _leave_out(self, sink: EventSink, error: PublishError) -> None:
        self._sinks.remove(sink)
        self._note(error)
        self._close_one(sink)

    def _close_one(self, sink: EventSink) -> None:
        try:
            sink.close()
        except PublishError as error:
            self._note(error)

    def _note(self, error: PublishError) -> None:
        if isinstance(error, ReaderGoneError):
            _log.debug("%s", error)
            return
        if self._sinks:
            _log.error("%s; the other outputs go on", error)
        elif self._failure is not None:
            _log.error("%s", error)
        # The first error ends the run and is shown there.
        self._fail(error, said=bool(self._sinks))
