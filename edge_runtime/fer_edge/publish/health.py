"""How a sink is doing, for the watchdog, the preview and the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkHealth:
    """A sink's counters at one moment; cheap to ask for, from any thread.

    Attributes:
        name: the sink's, without credentials.
        queued: events in memory that wait for the sink.
        spooled: events on disk that wait for the broker.
        spool_bytes: size of those, payloads and bookkeeping.
        delivered: events that reached their destination (with MQTT's qos 1 and 2: acknowledged).
        dropped: events that found no room, or no connection where nothing keeps them.
        refused: answers that said no: broker's reason codes, HTTP errors, commands that failed.
        reconnects: connections made after the first one.
        connected: whether the other side can be reached; None where nothing is connected to.
        last_progress: `time.monotonic()` of the newest moment at which the sink delivered an event, put it
            on disk, or had nothing to do; seconds. One that stands still is stuck. A broker or server that
            is away is no standstill.
    """

    name: str
    last_progress: float
    queued: int = 0
    spooled: int = 0
    spool_bytes: int = 0
    delivered: int = 0
    dropped: int = 0
    refused: int = 0
    reconnects: int = 0
    connected: bool | None = None
