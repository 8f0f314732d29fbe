"""The sample broker with its ACL, a real mosquitto: who gets in, who does not, and what each is told."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broker import MOSQUITTO, Broker, Subscriber, until

from fer_edge.publish import Event, SinkContext, open_sink
from fer_edge.publish.mqtt import MqttSink
from results import face, result

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).resolve().parents[2] / "systemd" / "mosquitto"
LABELS = result().labels


class SampleBroker(Broker):
    """The sample configuration, its paths and ports replaced by those of the test."""

    def __init__(self, folder: Path, *, certificate: str = "broker") -> None:
        super().__init__(folder)  # takes a free port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.people_port: int = probe.getsockname()[1]
        text = (SAMPLE / "fer-edge.conf").read_text()
        for there, here in {
            "/etc/mosquitto/certs/broker.crt": f"{folder}/{certificate}.crt",
            "/etc/mosquitto/certs/broker.key": f"{folder}/broker.key",
            "/etc/mosquitto/certs": str(folder),
            "/etc/mosquitto": str(folder),
            "listener 8883": f"listener {self.port} localhost",
            "listener 8884": f"listener {self.people_port} localhost",
        }.items():
            assert there in text
            text = text.replace(there, here)
        self._config.write_text(text + "\nuser root\n")

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.people_port), 1):
            return super().answers()
        return False


def sh(commands: str, folder: Path) -> None:
    subprocess.run(["sh", "-eu", "-c", commands], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README's commands make, and certificates that must not be let in."""
    if MOSQUITTO is None or not shutil.which("openssl") or not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto, mosquitto_passwd or openssl is not installed (sudo apt install mosquitto openssl)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")
    folder = tmp_path_factory.mktemp("certificates")
    blocks = re.findall(
        r"```sh(?: \w+)?\n(.*?)```", (SAMPLE / "README.md").read_text().replace("broker.local", "localhost"), re.S
    )
    authority, broker, camera, installing, *_ = blocks
    for block in (authority, broker, camera):
        assert "openssl" in block
        sh(block, folder)
    (signed,) = re.findall(r"^openssl x509 .*-out kitchen.crt$", camera, re.MULTILINE)
    sh(f"{signed.replace('-days 825', '-days -1').replace('kitchen.crt', 'expired.crt')}", folder)
    (signed,) = re.findall(r"^openssl x509 .*-out broker.crt$", broker, re.MULTILINE)
    sh(f"{signed.replace('-days 825', '-days -1').replace('broker.crt', 'broker-expired.crt')}", folder)
    sh(authority.replace("ca.", "foreign-ca."), folder)
    foreign = camera.replace("ca.crt", "foreign-ca.crt").replace("ca.key", "foreign-ca.key")
    sh(foreign.replace("kitchen.crt", "foreign.crt").replace("kitchen.key", "foreign.key"), folder)
    users = re.findall(r"mosquitto_passwd.* (\w+)$", installing, re.MULTILINE)
    assert users == ["homeassistant", "viewer"]
    (folder / "fer-edge.users").write_text("".join(f"{user}:{user}-secret\n" for user in users))
    sh("mosquitto_passwd -U fer-edge.users", folder)
    shutil.copy(SAMPLE / "fer-edge.acl", folder)
    for path in folder.iterdir():
        path.chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[SampleBroker]:
    broker = SampleBroker(folder)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def viewer(broker: SampleBroker, folder: Path) -> Iterator[Subscriber]:
    viewer = Subscriber(
        broker.people_port, "viewer", "viewer-secret", tls=ssl.create_default_context(cafile=folder / "ca.crt")
    )
    yield viewer
    viewer.close()


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MqttSink]]:
    """Opens a camera's output with the certificate of that name."""
    for name in ("USER", "PASSWORD", "PASSWORD_FILE", "CA", "CERT", "KEY"):
        monkeypatch.delenv(f"FER_EDGE_MQTT_{name}", raising=False)
    with contextlib.ExitStack() as stack:

        def open_as(certificate: str | None, port: int, topic: str = "fer/kitchen", user: str = "") -> MqttSink:
            monkeypatch.setenv("FER_EDGE_MQTT_CA", str(folder / "ca.crt"))
            if certificate is not None:
                key = "foreign.key" if certificate == "foreign" else "kitchen.key"
                monkeypatch.setenv("FER_EDGE_MQTT_CERT", str(folder / f"{certificate}.crt"))
                monkeypatch.setenv("FER_EDGE_MQTT_KEY", str(folder / key))
            context = SinkContext(device="kitchen", run="r", every_frame=False, labels=LABELS)
            sink = open_sink(f"mqtts://{user}localhost:{port}/{topic}?discovery=homeassistant", context)
            assert isinstance(sink, MqttSink)
            stack.callback(sink.close)
            return sink

        yield open_as


def seen(seq: int = 0) -> Event:
    return Event(result=result(face(), seq=seq), device="kitchen", run="r")


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_camera_with_its_certificate_is_heard_and_accepted_in_everything_it_says(
    broker: SampleBroker, viewer: Subscriber, opened: Callable[..., MqttSink], caplog: pytest.LogCaptureFixture
) -> None:
    sink = opened("kitchen", broker.port)
    sink.publish(seen())

    until(lambda: bool(viewer.payloads("fer/kitchen")), "the event")
    until(lambda: bool(viewer.payloads("fer/kitchen/status")), "the status")
    assert sink.health().refused == 0 and warned(caplog) == []


def test_a_camera_cannot_write_what_belongs_to_another(
    broker: SampleBroker, viewer: Subscriber, opened: Callable[..., MqttSink], caplog: pytest.LogCaptureFixture
) -> None:
    sink = opened("kitchen", broker.port, "fer/hall")
    sink.publish(seen())
    until(lambda: sink.health().refused > 0, "a refusal")

    assert any("does not accept messages on fer/hall (Not authorized)" in said for said in warned(caplog))
    assert sink.health().spooled == 1, "the event is kept until the rules are mended"
    assert [topic for topic, *_ in viewer.heard if topic.startswith("fer/hall")] == []


def test_a_wrong_password_is_refused_as_one(
    broker: SampleBroker, opened: Callable[..., MqttSink], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("FER_EDGE_MQTT_PASSWORD", "wr0ng")
    sink = opened(None, broker.people_port, user="viewer@")
    until(lambda: bool(warned(caplog)), "a warning")

    assert "refuses us (Not authorized); check user, password" in warned(caplog)[0]
    assert not sink.health().connected


@pytest.mark.parametrize(
    ("certificate", "alert"),
    [("expired", "certificate expired"), ("foreign", "unknown ca"), (None, "certificate required|handshake failure")],
)
def test_a_certificate_that_is_no_good_is_refused_as_what_it_is(
    certificate: str | None, alert: str, broker: SampleBroker, opened: Callable[..., MqttSink],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    sink = opened(certificate, broker.port)
    until(lambda: bool(warned(caplog)), "a warning")

    assert re.search(alert, warned(caplog)[0].replace("_", " "), re.IGNORECASE)
    assert not sink.health().connected


def test_a_broker_whose_certificate_has_expired_is_not_trusted(
    folder: Path, tmp_path: Path, opened: Callable[..., MqttSink], caplog: pytest.LogCaptureFixture
) -> None:
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    stale = SampleBroker(tmp_path, certificate="broker-expired")
    stale.start()
    try:
        sink = opened("kitchen", stale.port)
        until(lambda: bool(warned(caplog)), "a warning")
    finally:
        stale.stop()

    assert "certificate has expired" in warned(caplog)[0]
    assert not sink.health().connected
