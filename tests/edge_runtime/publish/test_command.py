"""Commands that are started for events: no shell, no secrets, never more than asked for, never for ever."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import until

from fer_edge.contract.errors import UsageError
from fer_edge.publish import Event, SinkContext, command, open_sink
from fer_edge.publish.triggered import TriggeredSink
from results import face, result

Make = Callable[..., Event]


@pytest.fixture
def opened(context: SinkContext) -> Callable[..., TriggeredSink]:
    def make(*words: object, rule: str = "") -> TriggeredSink:
        line = " ".join(f"'{word}'" for word in words)
        sink = open_sink(f"exec:{line}#{rule}", context)
        assert isinstance(sink, TriggeredSink)
        return sink

    return make


@pytest.fixture
def changing(event: Make) -> Make:
    def make(seq: int) -> Event:
        return event(result(face(stable=("happy", "sad")[seq % 2]), seq=seq))

    return make


def script(path: Path, commands: str) -> Path:
    path.write_text(f"#!/bin/sh\n{commands}")
    path.chmod(0o755)
    return path


def test_the_event_stands_on_standard_input_and_no_shell_reads_the_words(
    opened: Callable[..., TriggeredSink], event: Make, tmp_path: Path, checked: Callable[[bytes], dict[str, Any]]
) -> None:
    out = tmp_path / "$HOME; touch x"
    sink = opened("/usr/bin/tee", "-a", out)
    sink.publish(event(seq=4))
    sink.publish(event(seq=5))
    until(lambda: sink.health().delivered == 1, "the command has ended")
    sink.close()
    (line,) = out.read_bytes().splitlines()
    assert checked(line)["seq"] == 4
    assert list(tmp_path.iterdir()) == [out]


def test_a_command_does_not_see_our_secrets(
    opened: Callable[..., TriggeredSink], event: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "s3cret")
    monkeypatch.setenv("OTHER", "seen")
    sink = opened(script(tmp_path / "look", f"env > {tmp_path}/environment"))
    sink.publish(event())
    until(lambda: sink.health().delivered == 1, "the command has ended")
    sink.close()
    environment = (tmp_path / "environment").read_text()
    assert "OTHER=seen" in environment
    assert "FER_EDGE_" not in environment and "s3cret" not in environment


def test_no_more_run_at_a_time_than_asked_for_and_the_loop_never_waits(
    opened: Callable[..., TriggeredSink], changing: Make, tmp_path: Path
) -> None:
    work = script(tmp_path / "work", f"cd {tmp_path}\ntouch run$$\nsleep 0.15\nls run* | wc -l >> counts\nrm run$$\n")
    sink = opened(work, rule="parallel=2")
    began = time.monotonic()
    for seq in range(6):
        sink.publish(changing(seq))
    assert time.monotonic() - began < 10
    until(lambda: sink.health().delivered == 6, "all have run", 40)
    sink.close()
    counts = (tmp_path / "counts").read_text().split()
    assert len(counts) == 6 and set(counts) <= {"1", "2"} and "2" in counts


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    opened: Callable[..., TriggeredSink], event: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = script(tmp_path / "slow", f"sleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    sink = opened(slow, rule="timeout=0.6")
    sink.publish(event())
    until(lambda: sink.health().refused == 1, "it is killed")
    child = Path("/proc") / (tmp_path / "child").read_text().strip()
    until(lambda: not child.exists() or "(sleep) Z" in (child / "stat").read_text(), "its child is gone too")
    assert "command slow took over 0.6 s and was killed" in caplog.text
    sink.close()


def test_closing_does_not_wait_for_a_command_and_leaves_none_behind(
    opened: Callable[..., TriggeredSink], event: Make, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    sink = opened(script(tmp_path / "hang", f"echo $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 30\n"))
    sink.publish(event())
    until(pid.exists, "it runs")
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 10
    until(lambda: sink.health().refused == 1, "its thread has seen the end")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_command_that_fails_is_told_once_and_counted(
    opened: Callable[..., TriggeredSink], changing: Make, caplog: pytest.LogCaptureFixture
) -> None:
    sink = opened("/bin/false")
    for seq in range(3):
        sink.publish(changing(seq))
    until(lambda: sink.health().refused == 3, "all have failed")
    sink.close()
    assert caplog.text.count("command false ended with 1") == 1


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("exec:", "lacks its command"),
        ("exec:#expression=happy", "lacks its command"),
        ("exec:'unclosed", "badly quoted"),
        ("exec:/no/such/program x", "/no/such/program of an exec: output is not an executable file"),
        ("exec:/bin/true#parallel=9", "from 1 to 8"),
        ("exec:/bin/true #1", "unknown option '1'"),
    ],
)
def test_nonsense_is_refused_with_the_form(spec: str, says: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert says in str(raised.value)
    assert command.FORM in str(raised.value) or "whole path" in str(raised.value)
