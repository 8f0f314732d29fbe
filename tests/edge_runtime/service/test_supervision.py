"""The supervisor: what it tells systemd, and when it ends a process that cannot end itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import BrightnessDetector, LevelClassifier, ListSource, scene

from fer_bench.soak import NOTICED_WITHIN_S
from fer_edge.contract.errors import SourceHungError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces.tracking import Tracker
from fer_edge.frames import live, network, picamera2
from fer_edge.loop import Loop
from fer_edge.publish.health import SinkHealth
from fer_edge.service import supervision
from fer_edge.service.notify import Notifier
from fer_edge.service.supervision import Interrupted, Stop, Supervisor, hang_up
from results import face, result


def until(happens: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Systemd:
    """The other end of the notifications."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"}

    def heard(self) -> list[str]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(4096).decode())
        return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path)
    yield made
    made.close()


class Run:
    """A supervisor over a loop whose state and outputs the test sets."""

    def __init__(self, systemd: Systemd) -> None:
        self.source = ListSource([])
        self.loop = Loop(
            self.source, BrightnessDetector(), LevelClassifier(), tracker=Tracker(), smoother=Smoother(FER2013_LABELS)
        )
        self.sinks: list[SinkHealth] = []
        self.ended: list[int] = []
        self.stop = threading.Event()
        self.ticks = 0
        self.supervisor = Supervisor(Notifier(systemd.environment), self.stop, end=self.ended.append)

    def watch(self) -> None:
        def tick() -> None:
            self.ticks += 1

        self.supervisor.watch(self.loop, self.source, lambda: self.sinks, tick)

    def pass_ticks(self, number: int = 2) -> None:
        before = self.ticks
        until(lambda: self.ticks >= before + number)


@pytest.fixture
def run(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(supervision, "TICK_S", 0.01)
    made = Run(systemd)
    with made.supervisor:
        yield made


def test_ready_after_the_first_frame_and_the_watchdog_with_later_ones(run: Run, systemd: Systemd) -> None:
    run.watch()
    run.pass_ticks()
    assert systemd.heard() == []
    run.supervisor.frame(result())
    assert systemd.heard() == ["READY=1", "WATCHDOG=1"]
    run.pass_ticks(20)
    assert "WATCHDOG=1" not in systemd.heard(), "no frame, no sign of life"
    run.supervisor.frame(result())
    assert systemd.heard() == ["WATCHDOG=1"]


def test_an_output_without_progress_withholds_the_watchdog_until_it_goes_on(
    run: Run, systemd: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    run.watch()
    run.supervisor.frame(result())
    # Half of the watchdog's 0.4 s.
    run.sinks = [SinkHealth(name="file x", last_progress=time.monotonic() - 0.3)]
    run.pass_ticks()
    systemd.heard()
    time.sleep(0.11)
    run.supervisor.frame(result())
    assert systemd.heard() == []
    assert [record.getMessage() for record in caplog.records] == ["file x has made no progress for 0.2 s"]
    run.sinks = [SinkHealth(name="file x", last_progress=time.monotonic() + 60)]
    run.pass_ticks()
    run.supervisor.frame(result())
    assert systemd.heard() == ["WATCHDOG=1"]


def test_status_says_what_it_does_and_what_is_wrong(
    run: Run, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "STATUS_INTERVAL_S", 0.05)
    run.source.dropped = 3
    run.watch()
    run.supervisor.frame(result(face()))
    until(lambda: any("1 face, 3 dropped" in line for line in systemd.heard()))
    run.source.trouble = "camera 0 was unplugged"  # type: ignore[attr-defined]
    until(lambda: any("STATUS=no frames: camera 0 was unplugged" in line for line in systemd.heard()))


def test_a_live_read_that_does_not_return_ends_the_process(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "HUNG_S", 0.1)
    run.watch()
    run.supervisor.frame(result())
    run.pass_ticks(15)
    assert run.ended == []
    run.loop.reading_since = time.monotonic()
    until(lambda: run.ended == [1])


def test_a_file_may_take_its_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "HUNG_S", 0.01)
    run.watch()
    run.supervisor.frame(result(name="clip.mkv#1"))
    run.loop.reading_since = time.monotonic() - 100
    run.pass_ticks(5)
    assert run.ended == []


@pytest.mark.parametrize("how", ["signal", "end"])
def test_a_run_that_does_not_end_is_ended(
    run: Run, systemd: Systemd, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(supervision, "END_S", 0.2)
    run.supervisor._end_s = 0.2
    run.watch()
    run.stop.set() if how == "signal" else run.supervisor.ending()
    until(lambda: run.ended == [1])
    assert systemd.heard().count("STOPPING=1") == 1


def test_a_run_that_ends_in_time_is_left_alone(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "TICK_S", 0.01)
    run = Run(systemd)
    with run.supervisor:
        run.watch()
        run.supervisor.ending()
        run.supervisor.ending()
    assert run.ended == []
    assert systemd.heard() == ["STOPPING=1"]


def test_after_a_hang_the_process_ends_without_the_interpreters_help(systemd: Systemd) -> None:
    run = Run(systemd)
    with pytest.raises(SourceHungError), run.supervisor:
        raise SourceHungError("it hangs inside its driver")
    assert run.ended == [1]


def test_outputs_that_do_not_let_go_get_little_time_after_a_hang(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "HUNG_END_S", 0.2)
    assert supervision.END_S > 2, "what other ends get"
    hung = SourceHungError("it hangs inside its driver")
    run.watch()
    run.supervisor.ending(SourceHungError, hung)
    until(lambda: run.ended == [1], within_s=2.0)


def test_every_fault_of_a_camera_is_noticed_a_second_before_it_has_to_be() -> None:
    hung_s = max(live.LiveCapture.hung_s, network.NetworkStream.hung_s)
    noticed_s = {
        "gone": live.GRACE_S,
        "network gone": network.READ_TIMEOUT_MS / 1e3,
        "frozen": live.FROZEN_S,
        "camera module": picamera2.STALL_S,
        # To the end of the process, since nothing else helps; the supervisor looks once a tick.
        "hung": hung_s + supervision.HUNG_END_S + supervision.TICK_S,
        "hung elsewhere": supervision.HUNG_S + supervision.TICK_S,
    }
    assert max(noticed_s.values()) <= NOTICED_WITHIN_S - 1, noticed_s
    assert hung_s > network.READ_TIMEOUT_MS / 1e3 > 2, "OpenCV and FFmpeg give up first where they can"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event_and_a_second_one_is_the_usual(number: signal.Signals) -> None:
    heard = []
    before = signal.signal(number, lambda *_: heard.append(number))
    try:
        with Stop().on_signals() as stop:
            os.kill(os.getpid(), number)
            until(stop.event.is_set)
            assert heard == []
            os.kill(os.getpid(), number)
            until(lambda: heard == [number])
    finally:
        signal.signal(number, before)


def test_a_signal_ends_the_wait_for_an_output_of_a_file_but_not_of_a_camera() -> None:
    with Stop().on_signals() as stop:
        with stop.ends_waiting(result()):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        assert stop.event.is_set()
        with pytest.raises(Interrupted), stop.ends_waiting(result(name="clip.mkv#1")):
            pytest.fail("what was asked for before the wait ends it, too")
    with Stop().on_signals() as stop, pytest.raises(Interrupted), stop.ends_waiting(result(name="clip.mkv#1")):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_hang_up_reloads_a_service_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    requests: list[int] = []
    try:
        monkeypatch.setattr(supervision, "_has_terminal", lambda: True)
        with hang_up(lambda: requests.append(1)):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        monkeypatch.setattr(supervision, "_has_terminal", lambda: False)
        with hang_up(lambda: requests.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
            until(lambda: requests == [1])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        with hang_up(lambda: requests.append(1)):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_frames_go_through_the_loop_the_supervisor_watches(run: Run) -> None:
    run.source.items = [scene(at=n / 30) for n in range(3)]
    run.watch()
    seen = []
    for found in run.loop.results():
        assert run.loop.reading_since is None
        seen.append(found.seq)
    assert seen == [0, 1, 2]
