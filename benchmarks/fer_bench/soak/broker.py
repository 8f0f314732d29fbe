"""Events to a broker that stops, or from a process that is killed: how many are lost, how many come twice."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.soak import attempts
from fer_bench.soak.mosquitto import Listener, Mosquitto, until
from fer_edge.contract.errors import PublishError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.publish import Event, SinkContext, open_sink
from fer_edge.publish.health import SinkHealth
from fer_edge.records import Face, FrameResult
from fer_edge.seams import EventSink

EVENTS = 10_000
STOPS = 20
KILLS = 50

EVENTS_PER_S = 200.0
"""Far more than a camera has stable changes: hundreds wait at each stop."""

DRAIN_S = 120.0
"""How long what waits on disk may take to arrive, seconds."""

_TOPIC = "soak/camera"
_SEED = 2026


def broker_stops(scale: float) -> dict[str, Any]:
    """Stop a broker at random moments while events at QoS 1 flow.

    Args:
        scale: 1 is 10,000 events and 20 stops; smaller ones do proportionately less, at least one stop.

    Returns:
        Figures; `lost` are events that never arrived.

    Raises:
        UsageError: mosquitto is not installed.
        PublishError: the events did not arrive in the end.
    """
    events, stops = attempts(EVENTS, scale), attempts(STOPS, scale)
    chance = random.Random(_SEED)
    moments = sorted(chance.sample(range(events), stops))
    began = time.monotonic()
    with _scene() as (folder, broker, listener):
        sink = _opened(broker.port, folder, run="stops")
        published = 0
        peak = 0

        def stop_now_and_then() -> None:
            for moment in moments:
                # A stop that nobody was connected for would be none.
                until(
                    lambda moment=moment: published >= moment and sink.health().connected,  # type: ignore[misc]
                    DRAIN_S,
                    "the sink did not come back to the broker",
                )
                broker.stop()
                time.sleep(chance.uniform(0.1, 1.5))
                broker.start()

        stopper = threading.Thread(target=stop_now_and_then)
        stopper.start()
        for seq in range(events):
            sink.publish(event(seq, run="stops"))
            published = seq + 1
            peak = max(peak, sink.health().spooled)
            time.sleep(1 / EVENTS_PER_S)
        stopper.join()
        health = _drained(sink)
        sink.close()
        expected = {("stops", seq) for seq in range(events)}
        figures = _figures(expected, listener)
    return {
        "events": events,
        "stops": stops,
        **figures,
        "dropped": health.dropped,
        "reconnects": health.reconnects,
        "most_waiting": peak,
        "seconds": round(time.monotonic() - began, 1),
    }


def kills(scale: float) -> dict[str, Any]:
    """Kill (-9) the process that publishes at random moments, every other time with the broker down.

    Args:
        scale: 1 is 50 kills during about 10,000 events; smaller ones do proportionately less.

    Returns:
        Figures; `lost` are events that the spool had accepted and that never arrived.

    Raises:
        UsageError: mosquitto is not installed.
        PublishError: the events did not arrive in the end.
    """
    times = attempts(KILLS, scale)
    chance = random.Random(_SEED)
    accepted: set[tuple[str, int]] = set()
    began = time.monotonic()
    with _scene() as (folder, broker, listener):
        for number in range(times):
            down = number % 2 == 1
            if down:
                broker.stop()
            run = f"kill{number}"
            taken = _killed_after(chance.randint(1, 2 * EVENTS // KILLS), broker.port, folder, run)
            accepted |= {(run, seq) for seq in range(taken)}
            if down:
                broker.start()
        sink = _opened(broker.port, folder, run="last")
        health = _drained(sink)
        sink.close()
        figures = _figures(accepted, listener)
    return {
        "kills": times,
        "accepted": len(accepted),
        **figures,
        "dropped": health.dropped,
        "seconds": round(time.monotonic() - began, 1),
    }


def feed(port: int, folder: str, run: str) -> None:
    """Publish until somebody ends this process; say on standard output how many events the spool has accepted."""
    sink = _opened(port, Path(folder), run=run)
    for seq in range(EVENTS):
        sink.publish(event(seq, run=run))
        health = sink.health()
        # Events are taken in order, so these are the first so many.
        print(seq + 1 - health.queued - health.dropped, flush=True)
        time.sleep(1 / EVENTS_PER_S)


def event(seq: int, *, run: str) -> Event:
    """An event that differs from the one before it, so that each is a stable change."""
    label = FER2013_LABELS[seq % len(FER2013_LABELS)]
    probabilities = np.full(len(FER2013_LABELS), 0.02, np.float32)
    probabilities[seq % len(FER2013_LABELS)] = 0.88
    face = Face(
        id=1, box=(262.0, 106.0, 115.0, 120.0), score=0.93, probabilities=probabilities, expression=label,
        confidence=0.88, stable=label, stable_since=time.time(),
    )  # fmt: skip
    result = FrameResult(
        seq=seq, time=time.time(), age_ms=12.3, width=640, height=480, source="soak", name=None,
        labels=FER2013_LABELS, faces=(face,), stages_ms={"capture": 1.0, "detect": 7.4, "classify": 0.3},
    )  # fmt: skip
    return Event(result=result, device="soak", run=run)


@contextlib.contextmanager
def _scene() -> Iterator[tuple[Path, Mosquitto, Listener]]:
    with tempfile.TemporaryDirectory(prefix="fer-soak-") as name, contextlib.ExitStack() as stack:
        broker = Mosquitto(Path(name))
        broker.start()
        stack.callback(broker.stop)
        listener = Listener(broker.port, _TOPIC)
        stack.callback(listener.close)
        yield Path(name), broker, listener


def _opened(port: int, folder: Path, *, run: str) -> EventSink:
    context = SinkContext(device="soak", run=run, every_frame=False, labels=FER2013_LABELS, state=folder)
    return open_sink(f"mqtt://127.0.0.1:{port}/{_TOPIC}", context)


def _killed_after(accepted: int, port: int, folder: Path, run: str) -> int:
    """Start `feed` and kill it once its spool has accepted so many; returns how many it had."""
    program = f"from fer_bench.soak.broker import feed; feed({port}, {str(folder)!r}, {run!r})"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None and child.stderr is not None
        taken = 0
        for line in child.stdout:
            taken = max(taken, int(line))
            if taken >= accepted:
                break
        else:
            raise PublishError(f"the process that publishes ended by itself: {child.stderr.read()[-500:]}")
        child.kill()
        # What was said between the last look and the kill; the last line may be torn.
        *whole, _ = child.stdout.read().split("\n")
        return max([taken, *map(int, whole)])


def _drained(sink: EventSink) -> SinkHealth:
    until(lambda: not (sink.health().queued or sink.health().spooled), DRAIN_S, "the broker did not get everything")
    return sink.health()


def _figures(expected: set[tuple[str, int]], listener: Listener) -> dict[str, int]:
    with contextlib.suppress(PublishError):  # what is missing then is lost, and counted
        until(lambda: expected <= listener.heard.keys(), DRAIN_S / 4, "not everything arrived")
    return {
        "lost": len(expected - listener.heard.keys()),
        "duplicates": sum(times - 1 for times in listener.heard.values()),
        "out_of_order": listener.late,
    }
