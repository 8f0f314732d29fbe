from __future__ import annotations

import builtins
import contextlib
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fer_edge.contract.errors import ConfigError, MissingExtraError, UsageError
from fer_edge.publish import Event, SinkContext, mqtt, open_sink
from fer_edge.publish.mqtt import MqttSink, parse_broker

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
Make = Callable[..., Event]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "PASSWORD_FILE", "CA"):
        monkeypatch.delenv(f"FER_EDGE_MQTT_{name}", raising=False)


# The spec ---------------------------------------------------------------------------------------


def test_a_spec_names_host_port_topic_user_and_quality() -> None:
    plain = parse_broker("mqtt://pi.local/fer/kitchen")
    assert plain == ("pi.local", 1883, "fer/kitchen", 0, None, None, None)
    full = parse_broker("mqtt://cam%40home@[::1]:1999/a%20b/c?qos=2")
    assert full == ("::1", 1999, "a b/c", 2, "cam@home", None, None)
    tls = parse_broker("mqtts://pi.local/fer")
    assert tls.port == 8883
    assert tls.tls is not None and tls.tls.verify_mode is ssl.CERT_REQUIRED and tls.tls.check_hostname


def test_user_and_password_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FER_EDGE_MQTT_USER", "cam")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "one")
    assert parse_broker("mqtt://h/t")[4:6] == ("cam", "one")
    assert parse_broker("mqtt://other@h/t").user == "other"

    monkeypatch.delenv("FER_EDGE_MQTT_USER")
    assert parse_broker("mqtt://h/t")[4:6] == (None, None)  # MQTT knows no password without a user

    (tmp_path / "password").write_text("two words\n")
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))
    assert parse_broker("mqtt://cam@h/t").password == "two words"

    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"missing of FER_EDGE_MQTT_PASSWORD_FILE cannot be read .No such file"):
        parse_broker("mqtt://cam@h/t")


def test_another_authority_is_trusted_only_where_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for name in ("ca.pem", "missing.pem"):
        monkeypatch.setenv("FER_EDGE_MQTT_CA", str(tmp_path / name))
        with pytest.raises(ConfigError, match=f"{name} of FER_EDGE_MQTT_CA cannot be read"):
            parse_broker("mqtts://h/t")
        parse_broker("mqtt://h/t")  # not asked for


@pytest.mark.parametrize(
    "spec",
    [
        "mqtt:",
        "mqtt://",
        "mqtt://host",
        "mqtt://host/",
        "mqtt:///topic",
        "mqtt://host:0/t",
        "mqtt://host:70000/t",
        "mqtt://host:x/t",
        "mqtt://[::1/t",
        "mqtt://a..b/t",
        "mqtt://h/a/#",
        "mqtt://h/+/b",
        "mqtt://h/t?qos=3",
        "mqtt://h/t?retain=1",
        "mqtt://h/%00",
        f"mqtt://{'a' * 64}/t",
    ],
)
def test_nonsense_is_refused_with_the_form(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert mqtt.FORM in str(raised.value)


@pytest.mark.parametrize("spec", ["mqtt://me:s3cret@host/t", "mqtts://:s3cret@host/t", "mqtt://me:s3cret@host:x/t"])
def test_a_password_in_a_spec_is_refused_and_not_repeated(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert "s3cret" not in str(raised.value)
    assert ":x" in spec or "FER_EDGE_MQTT_PASSWORD_FILE" in str(raised.value)


def test_without_paho_the_extra_is_named(context: SinkContext, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("paho"):
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"fer-edge\[mqtt\]"):
        open_sink("mqtt://127.0.0.1/t", context)


# A real broker ----------------------------------------------------------------------------------


class Broker:
    """mosquitto on a free port of the loopback."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser root\npersistence false\n{settings}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._config], stderr=subprocess.DEVNULL)
        until(self.answers, "the broker listens")

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, paused: bool) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)


class Subscriber:
    """Hears everything under `fer/`, as topic, payload and whether it was retained."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(user, password)
        subscribed: list[object] = []
        self._client.on_subscribe = lambda *arguments: subscribed.append(arguments)
        self._client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("fer/#", qos=2)
        until(lambda: bool(subscribed), "the subscription is confirmed")

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(happens: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline, f"not seen in {within_s} s: {what}"
        time.sleep(0.005)


Started = Callable[..., Broker]
Subscribed = Callable[..., Subscriber]
Opened = Callable[..., MqttSink]


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
