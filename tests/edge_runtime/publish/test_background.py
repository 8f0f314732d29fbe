"""A slow or failing sink: the loop never waits for it, and nobody forgets that it failed."""

from __future__ import annotations

import threading
import time

import pytest
from broker import until

from fer_edge.contract.errors import PublishError
from fer_edge.publish import background
from fer_edge.publish.background import CAPACITY, BackgroundSink, UndeliveredError
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
    assert 49 <= sink.health().dropped <= 50, "one may be in the hands of the sink"
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
    assert sink.health().dropped == 0


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


class Moody(Recorder):
    """Refuses each event as often as `refusals` says."""

    def __init__(self, refusals: int, *, again: bool = True) -> None:
        super().__init__()
        self.gate.set()
        self.attempts: list[int] = []
        self._refusals, self._again = refusals, again

    def publish(self, event: Event) -> None:
        self.attempts.append(event.result.seq)
        if self.attempts.count(event.result.seq) <= self._refusals:
            raise UndeliveredError("is in a mood", again=self._again)
        super().publish(event)


def test_an_event_is_tried_again_as_often_as_asked_and_the_others_follow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RETRY_S", 0.001)
    for refusals, delivered in ((2, [0, 1]), (3, [])):
        moody = Moody(refusals)
        sink = BackgroundSink(moody, retries=2)
        sink.publish(event(0))
        sink.publish(event(1))
        until(lambda sink=sink: sink.health().delivered + sink.health().refused == 2, "both are settled")
        sink.close()
        assert moody.taken == delivered
        assert moody.attempts == [0, 0, 0, 1, 1, 1]
        assert (sink.health().delivered, sink.health().refused) == (len(delivered), 2 - len(delivered))
    assert len([said for said in caplog.messages if "is in a mood" in said]) == 3, "once for each time it went wrong"


def test_an_event_that_will_never_get_through_is_tried_once() -> None:
    moody = Moody(1, again=False)
    sink = BackgroundSink(moody, retries=5)
    sink.publish(event(0))
    sink.publish(event(1))
    sink.close()
    assert moody.attempts == [0, 1]
    assert sink.health().refused == 2


def test_closing_does_not_wait_for_further_attempts() -> None:
    sink = BackgroundSink(Moody(100), retries=100)
    sink.publish(event(0))
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 10


def test_a_lossy_sink_never_waits_for_a_file_either() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder, lossy=True)
    for seq in range(CAPACITY + 50):
        sink.publish(event(seq, name=f"clip.mkv#{seq}"))
    assert 49 <= sink.health().dropped <= 50
    recorder.gate.set()
    sink.close()


def test_a_files_last_events_are_waited_for_however_slow_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CLOSE_S", 0.05)

    class Slow(Recorder):
        def publish(self, event: Event) -> None:
            time.sleep(0.02)
            self.taken.append(event.result.seq)

    slow = Slow()
    sink = BackgroundSink(slow)
    for seq in range(30):
        sink.publish(event(seq, name=f"clip.mkv#{seq}"))
    sink.drain()
    assert slow.taken == list(range(30))
    sink.close()


def test_nobody_waits_for_a_sink_that_failed_or_may_lose_events() -> None:
    failed = Recorder(fails_at=0)
    failed.gate.set()
    sink = BackgroundSink(failed)
    sink.publish(event(0))
    sink.drain()
    with pytest.raises(PublishError):
        sink.close()
    away = Recorder()
    lossy = BackgroundSink(away, lossy=True)
    lossy.publish(event(0))
    lossy.drain()
    assert away.taken == []
    away.gate.set()
    lossy.close()


def test_a_worker_that_is_given_up_on_is_told_and_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CLOSE_S", 0.1)
    recorder = Recorder()
    sink = BackgroundSink(recorder, abandon=recorder.gate.set)
    for seq in range(3):
        sink.publish(event(seq))
    until(lambda: sink.health().queued == 2, "the first is in hand")
    sink.close()
    until(lambda: recorder.closed == 1, "its thread has ended")
    assert recorder.taken == [0]


def test_several_threads_work_at_a_time_and_the_sink_is_closed_once() -> None:
    barrier = threading.Barrier(4)

    class Together(Recorder):
        def publish(self, event: Event) -> None:
            barrier.wait(10)
            self.taken.append(event.result.seq)

    together = Together()
    sink = BackgroundSink(together, threads=4)
    for seq in range(4):
        sink.publish(event(seq))
    sink.close()
    assert sorted(together.taken) == [0, 1, 2, 3]
    assert together.closed == 1


def test_health_tells_work_from_rest_and_standstill() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder)
    before = time.monotonic()
    assert sink.health().last_progress >= before, "nothing to do is progress"
    sink.publish(event(0))
    sink.publish(event(1))
    until(lambda: sink.health().queued == 1, "the first is in hand")
    stuck = sink.health().last_progress
    time.sleep(0.05)
    assert sink.health().last_progress == stuck, "it stands still"
    recorder.gate.set()
    until(lambda: sink.health().delivered == 2, "both are delivered")
    assert sink.health().last_progress > stuck
    sink.close()


def test_the_pause_before_another_attempt_is_no_standstill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_S", 3600.0)
    sink = BackgroundSink(Moody(100), retries=9, limit_s=0.2)
    sink.publish(event(0))
    time.sleep(0.5)
    assert time.monotonic() - sink.health().last_progress < 0.2, "a server that is away is no reason to end the run"
    sink.close()


def test_an_attempt_that_may_take_its_time_is_no_standstill() -> None:
    recorder = Recorder()
    sink = BackgroundSink(recorder, limit_s=3600)
    sink.publish(event(0))
    until(lambda: sink.health().queued == 0, "it is in hand")
    before = time.monotonic()
    assert sink.health().last_progress >= before
    recorder.gate.set()
    sink.close()
