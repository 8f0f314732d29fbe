"""Home Assistant: what it is told, when it is told again, and that it forgets."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from broker import Broker, Subscriber, until
from hypothesis import given

from fer_edge.contract.errors import PublishError
from fer_edge.contract.labels import UNCERTAIN
from fer_edge.publish import Event, SinkContext, forget, homeassistant
from fer_edge.publish.broker import Broker as BrokerSettings
from fer_edge.publish.mqtt import MqttSink
from fer_edge.records import FrameResult
from fer_edge.service.config import Settings
from results import HAPPY, face, result, results

Make = Callable[..., Event]
Started = Callable[..., Broker]
Subscribed = Callable[..., Subscriber]
Opened = Callable[..., MqttSink]

SETTINGS = BrokerSettings("h", 1883, "fer/kitchen", discovery="homeassistant")


def announced(context: SinkContext) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(homeassistant.discovery(SETTINGS, context))
    return values


def test_one_device_with_six_sensors_whose_values_are_where_they_are_looked_for(context: SinkContext) -> None:
    values = announced(context)
    assert values["device"]["identifiers"] and values["device"]["name"] == "pi-kitchen"
    assert values["origin"]["name"] == "fer-edge"
    assert values["availability_topic"] == "fer/kitchen/availability"
    sensors = values["components"]
    assert set(sensors) == {"expression", "confidence", "faces", "frames_per_s", "temperature_c", "health"}
    assert len({sensor["unique_id"] for sensor in sensors.values()}) == 6
    said = json.loads(homeassistant.state(result(face())))
    for key, sensor in sensors.items():
        assert sensor["platform"] == "sensor"
        assert sensor["value_template"] == "{{ value_json.%s }}" % key  # noqa: UP031 - braces
        assert sensor["state_topic"] == f"fer/kitchen/{'state' if key in said else 'stats'}"
    assert set(sensors["health"]["options"]) == set(homeassistant.HEALTH)


def test_the_topic_is_one_that_home_assistant_takes_whatever_the_names() -> None:
    # home-assistant/core, components/mqtt/discovery.py
    matcher = re.compile(r"homeassistant/(\w+)/(?:([a-zA-Z0-9_-]+)/)?([a-zA-Z0-9_-]+)/config")
    for topic, device in (("fer/kitchen", "pi-kitchen"), ("küche/fer", "Küche 1/2"), ("+", "…")):
        assert matcher.fullmatch(homeassistant.discovery_topic(SETTINGS._replace(topic=topic), device))


@given(results())
def test_the_state_is_always_one_that_was_announced(seen: FrameResult) -> None:
    context = SinkContext(device="d", run="r", every_frame=False, labels=seen.labels)
    options = announced(context)["components"]["expression"]["options"]
    values = json.loads(homeassistant.state(seen))
    assert values["expression"] in options
    assert values["faces"] == len(seen.faces)
    assert (values["confidence"] is None) == (values["expression"] not in seen.labels)
    assert values["confidence"] is None or 0 <= values["confidence"] <= 100


def test_of_several_faces_the_largest_speaks_with_the_probability_of_its_stable_label() -> None:
    near = dataclasses.replace(face(1, HAPPY, stable="surprise"), box=(0.0, 0.0, 200.0, 200.0))
    far = dataclasses.replace(face(2, np.roll(HAPPY, 1)), box=(0.0, 0.0, 20.0, 20.0))
    assert json.loads(homeassistant.state(result(far, near))) == {"expression": "surprise", "confidence": 5, "faces": 2}
    unsure = dataclasses.replace(near, stable=UNCERTAIN)
    assert json.loads(homeassistant.state(result(unsure)))["confidence"] is None


@pytest.mark.slow
def test_home_assistant_is_told_at_once_and_again_when_it_or_the_broker_has_restarted(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make
) -> None:
    here = broker()
    hub = subscriber(here.port, topics="homeassistant/#")
    seen = subscriber(here.port)
    sink = opened(here.port, "?discovery=homeassistant")
    topic = "homeassistant/device/pi-kitchen/fer_kitchen/config"
    until(lambda: len(hub.payloads(topic)) == 1, "the announcement")
    sink.publish(event())
    until(lambda: seen.payloads("fer/kitchen/state") == [b'{"expression":"happy","confidence":88,"faces":1}'], "state")

    for nonsense in (b"offline", b"", b"online ", b"\xff" * 3000):
        hub.say("homeassistant/status", nonsense)
    hub.say("homeassistant/status", b"online")
    until(lambda: len(hub.payloads(topic)) == 2, "the announcement after Home Assistant's birth")
    time.sleep(0.3)
    assert len(hub.payloads(topic)) == 2, "only its birth counts"

    here.stop()
    here.start()
    again = subscriber(here.port, topics="homeassistant/#")
    until(lambda: len(again.payloads(topic)) == 1, "the announcement to a broker that has forgotten it")


def test_without_discovery_nothing_is_written_outside_the_topic_and_nothing_listened_to(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make
) -> None:
    here = broker()
    everything = subscriber(here.port, topics="#")
    opened(here.port).publish(event())
    until(lambda: bool(everything.payloads("fer/kitchen")), "the event")
    assert all(topic.partition("/")[0] == "fer" for topic, *_ in everything.heard)
    assert not everything.payloads("fer/kitchen/state")


def test_forget_removes_what_the_broker_keeps(
    broker: Started, subscriber: Subscribed, opened: Opened, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = broker()
    spec = f"mqtt://127.0.0.1:{here.port}/fer/kitchen?discovery=homeassistant"
    sink = opened(here.port, "?discovery=homeassistant")
    sink.publish(event())
    until(lambda: sink.health().delivered >= 1, "something was said")
    sink.close()
    before = subscriber(here.port, topics="#")
    until(lambda: len(before.heard) == 5, "five retained messages")
    kept = sorted(topic for topic, *_ in before.heard)

    emptied = forget(Settings(publish=["-", spec], device="pi-kitchen"))
    assert sorted(emptied) == kept
    after = subscriber(here.port, topics="#")
    after.say("last", b"")
    until(lambda: bool(after.heard), "the end")
    assert [topic for topic, *_ in after.heard] == ["last"]

    here.stop()
    monkeypatch.setattr(homeassistant, "FORGET_S", 0.2)
    with pytest.raises(PublishError, match="retained messages stay there"):
        forget(Settings(publish=[spec]))
