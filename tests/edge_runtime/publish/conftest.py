"""What every sink's output is held to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from broker import MOSQUITTO, Broker, Subscriber, until

from fer_edge.publish import Event, SinkContext, open_sink
from fer_edge.publish.event import schema
from fer_edge.publish.mqtt import MqttSink
from fer_edge.records import FrameResult
from results import face, result

CONTEXT = SinkContext(device="pi-kitchen", run="9f3c2a", every_frame=False, labels=result().labels)


@pytest.fixture(scope="session")
def context() -> SinkContext:
    """Of a run that publishes only frames with faces."""
    return CONTEXT


@pytest.fixture(scope="session")
def event() -> Callable[..., Event]:
    """Makes the event of a result, or of frame number `seq` with one happy face."""

    def make(seen: FrameResult | None = None, *, seq: int = 0) -> Event:
        return Event(result=seen or result(face(), seq=seq), device=CONTEXT.device, run=CONTEXT.run)

    return make


@pytest.fixture(scope="session")
def checked() -> Callable[[bytes], dict[str, Any]]:
    """Parses one line as strict JSON and validates it against the shipped schema."""
    validator = jsonschema.Draft202012Validator(schema(), format_checker=jsonschema.FormatChecker())

    def check(line: bytes) -> dict[str, Any]:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        values: dict[str, Any] = json.loads(line, parse_constant=refuse)
        validator.validate(values)
        return values

    return check


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the machine's own."""
    for name in os.environ:
        if name.startswith("FER_EDGE_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts a real mosquitto on a free port."""
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
def subscriber() -> Iterator[Callable[..., Subscriber]]:
    """Somebody who listens to it."""
    with contextlib.ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> Subscriber:
            made = Subscriber(*arguments, **options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def opened(context: SinkContext, tmp_path: Path) -> Iterator[Callable[..., MqttSink]]:
    """Opens an output; several in a row share their spool, as several starts of the program do."""
    with contextlib.ExitStack() as stack:

        def make(port: int, options: str = "", *, online: bool = True, **facts: Any) -> MqttSink:
            on_disk = dataclasses.replace(context, state=tmp_path / "state", **facts)
            sink = open_sink(f"mqtt://127.0.0.1:{port}/fer/kitchen{options}", on_disk)
            assert isinstance(sink, MqttSink)
            stack.callback(sink.close)
            if online:
                until(lambda: bool(sink.health().connected), "the sink is connected")
            return sink

        yield make


@pytest.fixture
def changing(event: Callable[..., Event]) -> Callable[..., Event]:
    """Makes event number `seq` differ from the one before it, so that each is a stable change."""

    def make(seq: int) -> Event:
        return event(result(face(stable=("happy", "sad")[seq % 2]), seq=seq))

    return make
