"""A sink that gets the events its rule lets through."""

from __future__ import annotations

from fer_edge.publish.background import BackgroundSink
from fer_edge.publish.event import Event
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.rule import Rule, Trigger


class TriggeredSink:
    """Puts a rule before a background sink, in the loop's thread, so that only what counts waits in its queue.

    Args:
        sink: gets what the rule lets through.
        rule: which events go there.
    """

    every_frame = True  # that nobody is there any more ends a dwell

    def __init__(self, sink: BackgroundSink, rule: Rule) -> None:
        self.name = sink.name
        self._sink, self._trigger = sink, Trigger(rule)

    def publish(self, event: Event) -> None:
        """Hand on an event that the rule lets through."""
        if self._trigger.fires(event.result):
            self._sink.publish(event)

    def health(self) -> SinkHealth:
        """The counters of the sink behind the rule."""
        return self._sink.health()

    def close(self) -> None:
        """Wait up to a second for what is pending."""
        self._sink.close()
