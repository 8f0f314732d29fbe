"""A slow or failing sink: the loop never waits for it, and nobody forgets that it failed."""

from __future__ import annotations

import threading
import time

import pytest

from fer_edge.contract.errors import PublishError
from fer_edge.publish.background import CAPACITY, BackgroundSink
from fer_edge.publish.event import Event
from results import result


class Recorder:
    """Takes events once `gate` is open; fails at the event numbered `fails_at`."""

    name = "recorder"
    every_frame = True

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.taken: list[int] = []
        self.closed = 0
        self._fails_at = fails_at
        self._error = error or PublishError("the disk is full")

    def publish(self, event: Event) -> None:
        self.gate.wait(10)
        if event.result.seq == self._fails_at:
            raise self._error
        self.taken.append(event.result.seq)

    def close(self) -> None:
        self.closed += 1


def event(seq: int, name: str | None = None) -> Event:
    return Event(result=result(seq=seq, name=name), device="pi", run="abc")


def test_events_arrive_in_order_and_closing_waits_for_them() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    for seq in range(20):
        sink.publish(event(seq))
    recorder.gate.set()
    sink.close()
    sink.close()
    assert recorder.taken == list(range(20))
    assert recorder.closed == 1


def test_a_live_source_never_waits_and_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    for seq in range(CAPACITY + 50):
        sink.publish(event(seq))
    assert 49 <= sink.dropped <= 50, "one may be in the hands of the sink"
    recorder.gate.set()
    sink.close()
    assert recorder.taken[-CAPACITY:] == list(range(50, CAPACITY + 50))
    assert "dropped" in caplog.text


def test_a_file_waits_and_loses_nothing() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    threading.Timer(0.3, recorder.gate.set).start()
    for seq in range(3 * CAPACITY):
        sink.publish(event(seq, name=f"clip.mkv#{seq}"))
    sink.close()
    assert recorder.taken == list(range(3 * CAPACITY))
    assert sink.dropped == 0


@pytest.mark.parametrize("name", [None, "clip.mkv#1"])
def test_a_failure_reaches_the_loop_with_a_later_event(name: str | None) -> None:
    recorder = Recorder(fails_at=0)
    recorder.gate.set()
    sink = BackgroundSink(recorder)
    with pytest.raises(PublishError, match="disk is full"):
        for seq in range(10_000):
            sink.publish(event(seq, name))
            time.sleep(0.001)
    sink.close()
    assert recorder.closed == 1


def test_an_error_nobody_foresaw_reaches_the_loop_too() -> None:
    recorder = Recorder(fails_at=0, error=ValueError("not a number"))
    recorder.gate.set()
    sink = BackgroundSink(recorder)
    with pytest.raises(ValueError, match="not a number"):
        for seq in range(3 * CAPACITY):
            sink.publish(event(seq, name="clip.mkv#1"))
            time.sleep(0.001)


def test_a_failure_at_the_last_event_is_told_when_closing() -> None:
    recorder = Recorder(fails_at=0)
    sink = BackgroundSink(recorder)
    sink.publish(event(0))
    recorder.gate.set()
    with pytest.raises(PublishError, match="disk is full"):
        sink.close()
    sink.close()


def test_a_sink_that_hangs_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    for seq in range(CAPACITY):
        sink.publish(event(seq))
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 5
    assert "within a second" in caplog.text
    recorder.gate.set()
