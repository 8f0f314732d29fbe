"""MQTT against a real broker: late, restarted, hanging, refusing; and what it is told beside events."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import Broker, Subscriber, until

from fer_edge.health import Health
from fer_edge.publish import Event, SinkContext, changes, mqtt, open_sink
from fer_edge.publish.mqtt import MqttSink
from results import face, result

Make = Callable[..., Event]
Started = Callable[..., Broker]
Subscribed = Callable[..., Subscriber]
Opened = Callable[..., MqttSink]


LONG_S = 10.0
"""Far over what anything here takes on a busy machine, far under how long the broker is away or hangs."""


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def sequence(listener: Subscriber, topic: str = "fer/kitchen") -> list[int]:
    return [json.loads(line)["seq"] for line in listener.payloads(topic)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_change_arrives_and_fits_the_schema(
    *,
    qos: int,
    broker: Started,
    subscriber: Subscribed,
    opened: Opened,
    changing: Make,
    checked: Callable[[bytes], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = broker().port
    listener = subscriber(port)
    sink = opened(port, f"?qos={qos}")
    for seq in range(100):
        sink.publish(changing(seq))
    until(lambda: sink.health().delivered >= 80, "most are delivered")
    began = time.monotonic()
    sink.close()  # delivers what is pending
    assert time.monotonic() - began < LONG_S

    until(lambda: listener.payloads("fer/kitchen/availability") == [b"online", b"offline"], "online, then offline")
    until(lambda: len(listener.payloads("fer/kitchen")) >= 100, "all events")
    assert [checked(line)["seq"] for line in listener.payloads("fer/kitchen")] == list(range(100))
    health = sink.health()
    assert (health.delivered, health.dropped, health.refused, health.spooled) == (100, 0, 0, 0)
    assert warnings(caplog) == []


def test_only_changes_and_a_heartbeat_are_published_and_frames_if_asked_for(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = broker().port
    listener = subscriber(port)
    sink = opened(port, "?frames=1")
    monkeypatch.setattr(changes, "HEARTBEAT_S", 3600.0)
    for seq in range(50):
        sink.publish(event(result(face(stable="happy" if seq < 25 else "sad"), seq=seq)))
    for seq in range(50, 60):
        sink.publish(event(result(seq=seq)))
    monkeypatch.setattr(changes, "HEARTBEAT_S", 0.0)
    sink.publish(event(result(seq=60)))
    until(lambda: sequence(listener)[-1:] == [60], "the heartbeat of an empty room")

    assert sequence(listener) == [0, 25, 50, 60]
    until(lambda: len(sequence(listener, "fer/kitchen/frames")) == 50, "every frame with a face")
    assert sequence(listener, "fer/kitchen/frames") == list(range(50))


def test_who_comes_later_learns_what_runs_and_how(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make
) -> None:
    port = broker().port
    facts = {"version": "1.2.3", "model": "mini", "model_sha256": "ab12", "detector": "yunet"}
    sink = opened(port, "?stats_s=1", facts=lambda: facts, board=lambda: Health(51.5, 0b1000))
    for seq in range(3):
        sink.publish(event(seq=seq))
    early = subscriber(port)

    def goes_on() -> bool:
        sink.publish(event())
        return any(json.loads(line)["frames_per_s"] for line in early.payloads("fer/kitchen/stats"))

    until(goes_on, "a whole interval with frames")
    late = subscriber(port)
    until(lambda: bool(late.payloads("fer/kitchen/stats") and late.payloads("fer/kitchen/status")), "retained messages")

    assert {topic for topic, _, retained in late.heard if retained} == {
        f"fer/kitchen/{name}" for name in ("availability", "status", "stats")
    }
    status = json.loads(late.payloads("fer/kitchen/status")[0])
    assert status.items() >= {**facts, "device": "pi-kitchen", "run": "9f3c2a"}.items() and status["uptime_s"] >= 1
    stats = json.loads(late.payloads("fer/kitchen/stats")[0])
    assert stats["frames"] >= 3 and 0 < stats["frames_per_s"] <= stats["frames"] and stats["faces"] == 1
    assert (stats["temperature_c"], stats["throttled"], stats["health"]) == (51.5, 8, "slowed")
    assert stats["delivered"] >= 1 and stats["dropped"] == 0


def test_a_run_of_one_frame_is_delivered(
    broker: Started, subscriber: Subscribed, context: SinkContext, event: Make
) -> None:
    port = broker().port
    listener = subscriber(port)
    sink = open_sink(f"mqtt://127.0.0.1:{port}/fer/kitchen", context)
    sink.publish(event(seq=9))
    sink.close()

    until(lambda: sequence(listener) == [9], "the only event")


@pytest.mark.slow
def test_a_broker_that_comes_later_gets_everything_in_order_and_the_wait_costs_one_warning(
    broker: Started, subscriber: Subscribed, opened: Opened, changing: Make, caplog: pytest.LogCaptureFixture
) -> None:
    late = broker(started=False)
    sink = opened(late.port, online=False)
    until(lambda: bool(warnings(caplog)), "a warning")
    began = time.monotonic()
    for seq in range(500):
        sink.publish(changing(seq))
    assert time.monotonic() - began < LONG_S, "the loop never waits"
    until(lambda: sink.health().spooled == 500, "all are on disk")
    before = time.monotonic()
    assert sink.health().last_progress >= before, "an absent broker is no standstill"

    late.start()
    listener = subscriber(late.port)
    until(lambda: len(sequence(listener)) >= 500, "all events", 30)
    assert sequence(listener) == list(range(500))
    (said,) = warnings(caplog)
    assert f"127.0.0.1:{late.port}" in said and "Connection refused" in said
    assert "still trying, and events wait in the spool" in said


def test_what_a_start_could_not_deliver_the_next_one_does(
    broker: Started, subscriber: Subscribed, opened: Opened, changing: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    late = broker(started=False)
    before = opened(late.port, online=False)
    for seq in range(30):
        before.publish(changing(seq))
    before.close()
    assert "30 events wait on disk for the next start" in caplog.text

    late.start()
    listener = subscriber(late.port)
    after = opened(late.port)
    after.publish(changing(30))
    until(lambda: len(sequence(listener)) >= 31, "those of both")
    assert sequence(listener) == list(range(31))


@pytest.mark.slow
def test_a_broker_that_restarts_is_found_again_and_greeted_again(
    broker: Started, subscriber: Subscribed, opened: Opened, changing: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here = broker()
    sink = opened(here.port)
    here.stop()
    until(lambda: not sink.health().connected, "the loss is noticed")
    for seq in range(3):
        sink.publish(changing(seq))
    here.start()
    listener = subscriber(here.port)
    until(lambda: sequence(listener) == [0, 1, 2], "what happened meanwhile")
    assert listener.payloads("fer/kitchen/availability") == [b"online"]
    assert listener.payloads("fer/kitchen/status")
    assert sink.health().reconnects == 1
    here.stop()
    until(lambda: len(warnings(caplog)) == 2, "each outage is told")
    assert all("has gone" in said for said in warnings(caplog))


def test_at_quality_0_what_cannot_be_sent_is_dropped_and_counted(
    broker: Started, opened: Opened, changing: Make, caplog: pytest.LogCaptureFixture
) -> None:
    absent = broker(started=False)
    sink = opened(absent.port, "?qos=0", online=False)
    for seq in range(20):
        sink.publish(changing(seq))
    until(lambda: sink.health().dropped == 20, "all are dropped")
    assert "events are dropped" in warnings(caplog)[0]
    sink.close()
    assert "dropped 20 events" in warnings(caplog)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1])
def test_a_broker_that_hangs_holds_neither_the_loop_nor_the_memory_nor_the_end(
    qos: int, broker: Started, opened: Opened, changing: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MAX_PENDING", 100)
    here = broker()
    sink = opened(here.port, f"?qos={qos}")
    here.pause(True)
    began = time.monotonic()
    for seq in range(2000):
        sink.publish(changing(seq))
    assert time.monotonic() - began < LONG_S
    assert sink.health().queued <= 100

    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < LONG_S
    here.pause(False)
    health = sink.health()
    assert health.delivered + health.dropped + health.spooled == 2000
    assert health.spooled == 0 if qos == 0 else health.spooled > 0


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A password file with `cam` and `viewer`, and rules that let `cam` write only fer/kitchen/availability."""
    folder = tmp_path_factory.mktemp("accounts")
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed (sudo apt install mosquitto)")
    (folder / "users").write_text("cam:right\nviewer:right\n")
    (folder / "users").chmod(0o600)
    subprocess.run([tool, "-U", folder / "users"], check=True)
    (folder / "rules").write_text("user cam\ntopic write fer/kitchen/availability\nuser viewer\ntopic read fer/#\n")
    (folder / "rules").chmod(0o600)
    return folder


@pytest.mark.slow
def test_a_wrong_password_is_said_once_and_without_it(
    *,
    broker: Started,
    opened: Opened,
    event: Make,
    accounts: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = broker(f"allow_anonymous false\npassword_file {accounts}/users")
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "wr0ng")
    sink = opened(here.port, online=False)
    until(lambda: bool(warnings(caplog)), "a warning")
    sink.publish(event())
    time.sleep(1.2)  # a second attempt

    (said,) = warnings(caplog)
    assert "Not authorized" in said and "check user, password" in said and "wr0ng" not in said
    assert sink.health().spooled == 1
    sink.close()

    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "right")
    mended = opened(here.port)
    until(lambda: mended.health().delivered == 1, "the event that waited")


@pytest.mark.slow
@pytest.mark.parametrize("qos", [1, 2])
def test_a_topic_that_the_rules_forbid_is_said_and_its_events_wait_until_they_are_mended(
    *,
    qos: int,
    broker: Started,
    subscriber: Subscribed,
    opened: Opened,
    changing: Make,
    accounts: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = tmp_path / "rules"
    rules.write_text((accounts / "rules").read_text())
    rules.chmod(0o600)
    here = broker(f"allow_anonymous false\npassword_file {accounts}/users\nacl_file {rules}")
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "right")
    sink = opened(here.port, f"?qos={qos}")
    for seq in range(3):
        sink.publish(changing(seq))
    until(lambda: sink.health().refused >= 3, "refusals")
    (said,) = warnings(caplog)
    assert "does not accept messages on fer/kitchen" in said and "Not authorized" in said and "access rules" in said
    assert sink.health().spooled == 3 and sink.health().delivered == 0

    rules.write_text(rules.read_text().replace("topic write fer/kitchen/availability", "topic write fer/#"))
    here.reload()
    listener = subscriber(here.port, "viewer", "right")
    until(lambda: sequence(listener) == [0, 1, 2], "the events that waited, in order")


def test_a_broker_that_refuses_discovery_is_told_from_one_that_refuses_events(
    broker: Started, opened: Opened, changing: Make, accounts: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rules = tmp_path / "rules"
    rules.write_text((accounts / "rules").read_text().replace("fer/kitchen/availability", "fer/#"))
    rules.chmod(0o600)
    here = broker(f"allow_anonymous false\npassword_file {accounts}/users\nacl_file {rules}")
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "right")
    sink = opened(here.port, "?discovery=homeassistant")
    sink.publish(changing(0))
    until(lambda: sink.health().delivered == 1, "the event")
    until(lambda: warnings(caplog), "a sentence about discovery")
    (said,) = warnings(caplog)
    assert "does not accept messages on homeassistant/" in said
    assert sink.health().refused == 0


PROGRAM = """
import sys, time
from fer_edge.publish import SinkContext, open_sink
sink = open_sink(sys.argv[1], SinkContext(device="d", run="r", every_frame=False, labels=("a", "b")))
time.sleep(60)
"""


@pytest.mark.slow
def test_the_last_will_says_offline_after_a_kill(broker: Started, subscriber: Subscribed) -> None:
    port = broker().port
    listener = subscriber(port)
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, f"mqtt://127.0.0.1:{port}/fer/kitchen"])
    try:
        until(lambda: listener.payloads("fer/kitchen/availability") == [b"online"], "online")
    finally:
        process.kill()
        process.wait()

    until(lambda: listener.payloads("fer/kitchen/availability") == [b"online", b"offline"], "offline")
