"""`fer-edge service uninstall --forget` and a real broker: what it keeps of us goes, what it keeps of others stays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import Broker, Subscriber, guarded, until

from fer_edge.contract.errors import ServiceError
from fer_edge.publish import Event, SinkContext, homeassistant, open_sink
from fer_edge.service import systemd
from fer_edge.service.steps import RunCommand, Step, WriteFile
from results import face, result

USER, PASSWORD = "camera", "a secret of the camera"
OURS = {"pi-kitchen": "home/kitchen/expressions", "pi-door": "home/door/expressions"}
FOREIGN = {"home/garden/expressions/status": b"{}", "homeassistant/device/pi-garden/x/config": b'{"device":{}}'}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One that asks for a password."""
    with guarded(tmp_path, USER, PASSWORD) as broker:
        yield broker


@pytest.fixture
def root(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that is switched off, with the units and the settings, user and password of two cameras."""
    for name in [name for name in os.environ if name.startswith("FER_EDGE_") or name == "CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name)
    # What is taken sets variables of this process; the test's end has to take them back.
    for name in ("FER_EDGE_MQTT_USER", "FER_EDGE_MQTT_PASSWORD_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    root = tmp_path / "root"
    (root / "etc/fer-edge").mkdir(parents=True)
    (root / systemd.CREDENTIALS).mkdir(parents=True)
    for name, (device, topic) in zip(("config", "door"), OURS.items(), strict=True):
        spec = f"mqtt://127.0.0.1:{broker.port}/{topic}?discovery=homeassistant"
        settings = f'device = "{device}"\npublish = ["-", "{spec}"]\n'
        (root / f"etc/fer-edge/{name}.toml").write_text(settings)
    (root / "etc/fer-edge/environment").write_text(f"FER_EDGE_MQTT_USER={USER}\n")
    (root / systemd.CREDENTIALS / "fer-edge.mqtt_password").write_text(f"{PASSWORD}\n")
    for step in (*systemd.plan_install(root=root), *systemd.plan_install(root=root, instance="door")):
        if isinstance(step, WriteFile):
            step.take()
    return root


def say_everything(port: int, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the services said before they were stopped, and what other cameras say."""
    with monkeypatch.context() as patch:
        patch.setenv("FER_EDGE_MQTT_USER", USER)
        patch.setenv("FER_EDGE_MQTT_PASSWORD", PASSWORD)
        for device, topic in OURS.items():
            context = SinkContext(
                device=device, run="r", every_frame=False, labels=result().labels, state=state / device
            )  # fmt: skip
            sink = open_sink(f"mqtt://127.0.0.1:{port}/{topic}?discovery=homeassistant", context)
            sink.publish(Event(result=result(face()), device=device, run="r"))
            until(lambda sink=sink: sink.health().delivered >= 1, "something was said")  # type: ignore[misc]
            sink.close()
    others = Subscriber(port, USER, PASSWORD)
    for topic, payload in FOREIGN.items():
        others.say(topic, payload, retain=True)
    others.close()


def kept(port: int) -> dict[str, bytes]:
    """Retained messages by topic, as Home Assistant would find them at its next start."""
    newcomer = Subscriber(port, USER, PASSWORD, topics="#")
    try:
        # The broker sends what it keeps before what comes afterwards.
        newcomer.say("the/end", b"")
        until(lambda: bool(newcomer.payloads("the/end")), "the end of what is kept")
        return {topic: payload for topic, payload, retained in newcomer.heard if retained}
    finally:
        newcomer.close()


def uninstall(root: Path) -> list[Step]:
    """Take every step but those that ask systemd, which does not run on this machine."""
    steps = systemd.plan_uninstall(forget=True, root=root)
    for step in steps:
        if not isinstance(step, RunCommand):
            step.take()
    return steps


def test_what_the_broker_keeps_of_every_service_is_gone_and_nothing_else(
    root: Path, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_everything(broker.port, tmp_path, monkeypatch)
    before = kept(broker.port)
    discovered = {
        f"homeassistant/device/{device}/{topic.replace('/', '_')}/config": device for device, topic in OURS.items()
    }
    for topic, device in discovered.items():
        assert json.loads(before[topic])["device"]["name"] == device
    own = {f"{topic}/{name}" for topic in OURS.values() for name in homeassistant.RETAINED}
    assert before.keys() == {*discovered, *own, *FOREIGN}

    uninstall(root)
    assert kept(broker.port) == FOREIGN
    assert not [path for path in root.rglob("*") if path.is_file()]
    assert uninstall(root) == [], "a second time there is nothing to do"


@pytest.mark.parametrize("fault", ["password", "away"])
def test_a_broker_that_cannot_be_asked_keeps_the_service_installed(
    fault: str, root: Path, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homeassistant, "FORGET_S", 1.0)
    say_everything(broker.port, tmp_path, monkeypatch)
    files = {path for path in root.rglob("*") if path.is_file()}
    if fault == "password":
        (root / systemd.CREDENTIALS / "fer-edge.mqtt_password").write_text("of somebody else\n")
    else:
        broker.stop()
    with pytest.raises(ServiceError, match="stopped but not removed"):
        uninstall(root)
    assert {path for path in root.rglob("*") if path.is_file()} == files
    if fault == "password":
        assert len(kept(broker.port)) == len(FOREIGN) + len(OURS) * (len(homeassistant.RETAINED) + 1)
