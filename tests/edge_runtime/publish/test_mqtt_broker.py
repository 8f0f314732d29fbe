"""MQTT against a real broker: late, restarted, hanging, refusing, encrypted."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import MOSQUITTO, Broker, Subscriber, until

from fer_edge.publish import Event, SinkContext, mqtt, open_sink
from fer_edge.publish.mqtt import MqttSink

Make = Callable[..., Event]
Started = Callable[..., Broker]
Subscribed = Callable[..., Subscriber]
Opened = Callable[..., MqttSink]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "PASSWORD_FILE", "CA"):
        monkeypatch.delenv(f"FER_EDGE_MQTT_{name}", raising=False)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Started]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")
    brokers: list[Broker] = []

    def make(settings: str = "allow_anonymous true", *, started: bool = True) -> Broker:
        brokers.append(Broker(tmp_path, settings))
        if started:
            brokers[-1].start()
        return brokers[-1]

    yield make
    for each in brokers:
        each.stop()


@pytest.fixture
def subscriber() -> Iterator[Subscribed]:
    with contextlib.ExitStack() as stack:

        def make(*arguments: Any) -> Subscriber:
            made = Subscriber(*arguments)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def opened(context: SinkContext) -> Iterator[Opened]:
    with contextlib.ExitStack() as stack:

        def make(port: int, options: str = "", *, online: bool = True) -> MqttSink:
            sink = open_sink(f"mqtt://127.0.0.1:{port}/fer/kitchen{options}", context)
            assert isinstance(sink, MqttSink)
            stack.callback(sink.close)
            if online:
                until(sink._online.is_set, "the sink is connected")
            return sink

        yield make


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_event_arrives_and_fits_the_schema(
    *,
    qos: int,
    broker: Started,
    subscriber: Subscribed,
    opened: Opened,
    event: Make,
    checked: Callable[[bytes], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = broker().port
    listener = subscriber(port)
    sink = opened(port, f"?qos={qos}")
    for seq in range(200):
        sink.publish(event(seq=seq))
    began = time.monotonic()
    sink.close()  # delivers what is pending
    assert time.monotonic() - began < 1.2

    until(lambda: listener.payloads("fer/kitchen/availability") == [b"online", b"offline"], "online, then offline")
    until(lambda: len(listener.payloads("fer/kitchen")) >= 200, "all events")
    assert [checked(line)["seq"] for line in listener.payloads("fer/kitchen")] == list(range(200))
    assert (sink.dropped, sink.refused) == (0, 0)
    assert warnings(caplog) == []
    late = subscriber(port)
    until(lambda: late.heard == [("fer/kitchen/availability", b"offline", True)], "only availability is retained")


def test_a_run_of_one_frame_is_delivered(
    broker: Started, subscriber: Subscribed, context: SinkContext, event: Make
) -> None:
    port = broker().port
    listener = subscriber(port)
    sink = open_sink(f"mqtt://127.0.0.1:{port}/fer/kitchen", context)
    sink.publish(event(seq=9))
    sink.close()

    until(lambda: len(listener.payloads("fer/kitchen")) == 1, "the only event")


def test_a_broker_that_comes_later_is_found_and_the_wait_costs_one_warning(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    late = broker(started=False)
    sink = opened(late.port, online=False)
    until(lambda: bool(warnings(caplog)), "a warning")
    began = time.monotonic()
    for seq in range(1000):
        sink.publish(event(seq=seq))
    assert time.monotonic() - began < 0.5  # the loop never waits
    assert sink.dropped == 1000

    late.start()
    listener = subscriber(late.port)
    until(sink._online.is_set, "the sink is connected")
    sink.publish(event(seq=1000))

    until(lambda: len(listener.payloads("fer/kitchen")) == 1, "the first event after the wait")
    (said,) = warnings(caplog)
    assert f"127.0.0.1:{late.port}" in said and "Connection refused" in said and "still trying" in said


def test_a_broker_that_restarts_is_found_again(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here = broker()
    sink = opened(here.port)
    here.stop()
    until(lambda: not sink._online.is_set(), "the loss is noticed")
    sink.publish(event(seq=1))
    here.start()
    listener = subscriber(here.port)
    until(sink._online.is_set, "the sink is connected again")
    sink.publish(event(seq=2))

    until(lambda: len(listener.payloads("fer/kitchen")) == 1, "an event after the restart")
    assert b'"seq":2' in listener.payloads("fer/kitchen")[0]
    until(lambda: listener.payloads("fer/kitchen/availability") == [b"online"], "online again")
    assert sink.dropped == 1
    here.stop()
    until(lambda: len(warnings(caplog)) == 2, "each outage is told")
    assert all("has gone (the connection broke)" in said for said in warnings(caplog))


def test_a_broker_that_hangs_holds_neither_the_loop_nor_the_memory_nor_the_end(
    broker: Started, opened: Opened, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here = broker()
    sink = opened(here.port, "?qos=1")
    here.pause(True)
    began = time.monotonic()
    for seq in range(mqtt.MAX_PENDING + 500):
        sink.publish(event(seq=seq))
    assert time.monotonic() - began < 2
    assert sink.dropped == 500

    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 1.3
    here.pause(False)
    (said,) = warnings(caplog)
    assert "dropped" in said and sink.dropped >= 500


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
    assert sink.dropped == 1

    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "right")
    opened(here.port)  # connects


def test_a_topic_that_the_rules_forbid_is_said_where_the_broker_confirms(
    *,
    broker: Started,
    opened: Opened,
    event: Make,
    accounts: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = broker(f"allow_anonymous false\npassword_file {accounts}/users\nacl_file {accounts}/rules")
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "right")
    sink = opened(here.port, "?qos=1")
    for seq in range(3):
        sink.publish(event(seq=seq))
    until(lambda: sink.refused == 3, "three refusals")

    (said,) = warnings(caplog)
    assert "does not accept fer/kitchen" in said and "Not authorized" in said and "access rules" in said


def test_tls_takes_the_named_authority_and_no_other(
    broker: Started,
    context: SinkContext,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is not installed, which makes the test's certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [
        tool,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    here = broker(f"allow_anonymous true\ncertfile {certificate}\nkeyfile {key}")
    spec = f"mqtts://127.0.0.1:{here.port}/fer/kitchen"

    stranger = open_sink(spec, context)
    until(lambda: bool(warnings(caplog)), "a warning")
    stranger.close()
    assert "certificate verify failed" in warnings(caplog)[0]

    monkeypatch.setenv("FER_EDGE_MQTT_CA", str(certificate))
    friend = open_sink(spec, context)
    assert isinstance(friend, MqttSink)
    until(friend._online.is_set, "the sink is connected")
    friend.close()


PROGRAM = """
import sys, time
from fer_edge.publish import SinkContext, open_sink
sink = open_sink(sys.argv[1], SinkContext(device="d", run="r", every_frame=False, labels=("a", "b")))
time.sleep(60)
"""


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
