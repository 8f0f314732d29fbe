"""Home Assistant finds the device by itself: MQTT discovery (home-assistant.io/integrations/mqtt), one device."""

from __future__ import annotations

import json
import queue
import re
import time
from typing import Any, Protocol

from fer_edge import __version__
from fer_edge.contract.errors import PublishError
from fer_edge.contract.labels import UNCERTAIN
from fer_edge.publish.broker import Broker, parse_broker
from fer_edge.publish.connection import Acknowledged, Connected, Connection, Note
from fer_edge.publish.spec import SinkContext
from fer_edge.records import FrameResult

NOBODY = "none"
"""The expression where no face is in view."""

BIRTH = b"online"
"""What Home Assistant says on PREFIX/status when it has started."""

HEALTH = ("ok", "slowed", "under-voltage", "losing events")
"""What the health sensor can say, as `health` in TOPIC/stats."""

RETAINED = ("availability", "status", "stats", "state")
"""Topics below TOPIC whose last message a broker keeps."""

FORGET_S = 5.0
"""How long `forget` waits for each broker, seconds."""


def discovery_topic(broker: Broker, device: str) -> str:
    """PREFIX/device/DEVICE/TOPIC/config: the level of its own that DEVICE has lets an ACL speak of it."""
    return f"{broker.discovery}/device/{_slug(device)}/{_slug(broker.topic)}/config"


def discovery(broker: Broker, context: SinkContext) -> bytes:
    """The retained message that makes one device with its sensors, for Home Assistant 2024.11 and later."""
    identity = f"{_slug(context.device)}_{_slug(broker.topic)}"
    state, stats = f"{broker.topic}/state", f"{broker.topic}/stats"
    diagnostic = {"entity_category": "diagnostic"}
    measured = {"state_class": "measurement"}
    sensors: dict[str, dict[str, Any]] = {
        "expression": {
            "name": "Expression", "state_topic": state, "device_class": "enum", "icon": "mdi:emoticon-outline",
            "options": [*context.labels, UNCERTAIN, NOBODY],
        },
        "confidence": {"name": "Confidence", "state_topic": state, "unit_of_measurement": "%", **measured},
        "faces": {"name": "Faces", "state_topic": state, "icon": "mdi:face-recognition", **measured},
        "frames_per_s": {
            "name": "Frames per second", "state_topic": stats, "unit_of_measurement": "fps", **measured, **diagnostic,
        },
        "temperature_c": {
            "name": "Temperature", "state_topic": stats, "device_class": "temperature", "unit_of_measurement": "°C",
            **measured, **diagnostic,
        },
        "health": {
            "name": "Health", "state_topic": stats, "device_class": "enum", "options": list(HEALTH), **diagnostic,
        },
    }  # fmt: skip
    return _json(
        {
            "device": {
                "identifiers": [f"fer_edge_{identity}"],
                "name": context.device,
                "manufacturer": "fer-edge",
                "model": context.facts().get("model", "fer-edge"),
                "sw_version": __version__,
            },
            "origin": {"name": "fer-edge", "sw_version": __version__},
            "availability_topic": f"{broker.topic}/availability",
            "qos": 1,
            "components": {
                key: {
                    "platform": "sensor",
                    "unique_id": f"fer_edge_{identity}_{key}",
                    # Home Assistant takes "None" as unknown.
                    "value_template": f"{{{{ value_json.{key} }}}}",
                    **sensor,
                }
                for key, sensor in sensors.items()
            },
        }
    )


def state(result: FrameResult) -> bytes:
    """What is seen now, of the face that is largest: the nearest one."""
    if not result.faces:
        return _json({"expression": NOBODY, "confidence": None, "faces": 0})
    nearest = max(result.faces, key=lambda face: face.box[2] * face.box[3])
    shown = None
    if nearest.stable in result.labels:
        shown = round(100 * float(nearest.probabilities[result.labels.index(nearest.stable)]))
    return _json({"expression": nearest.stable, "confidence": shown, "faces": len(result.faces)})


class Forgettable(Protocol):
    """The settings that say what was announced where: `fer_edge.service.config.Settings`.

    Attributes:
        publish: specs of all outputs.
        device_name: as in every event.
    """

    @property
    def publish(self) -> list[str]: ...
    @property
    def device_name(self) -> str: ...


def forget(settings: Forgettable) -> list[str]:
    """Remove every retained message of ours from the brokers of these settings, so that Home Assistant
    removes the device; call it after the service has stopped.

    Returns:
        The topics that are empty now.

    Raises:
        UsageError, ConfigError, MissingExtraError: as when the outputs are opened.
        PublishError: a broker cannot be reached within `FORGET_S`, or does not let us remove them.
    """
    emptied: list[str] = []
    for spec in settings.publish:
        if spec.partition(":")[0] in ("mqtt", "mqtts"):
            broker = parse_broker(spec)
            topics = [f"{broker.topic}/{name}" for name in RETAINED]
            if broker.discovery:
                topics.insert(0, discovery_topic(broker, settings.device_name))
            _empty(broker, topics)
            emptied += topics
    return emptied


def _empty(broker: Broker, topics: list[str]) -> None:
    notes: queue.SimpleQueue[Note] = queue.SimpleQueue()
    connection = Connection(broker, notes.put, meanwhile="nothing is removed", will=False)
    deadline = time.monotonic() + FORGET_S
    waiting: set[int] | None = None
    try:
        while waiting is None or waiting:
            note = notes.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(note, Connected) and waiting is None:
                # A retained message without content removes the one before (MQTT 5.0, 3.3.1.3).
                waiting = {connection.publish(topic, b"", qos=1, retain=True).mid for topic in topics}
            elif isinstance(note, Acknowledged) and waiting is not None:
                if note.refused:
                    raise PublishError(f"{connection.name} does not let us remove our messages; check its access rules")
                waiting.discard(note.mid)
    except queue.Empty:
        raise PublishError(
            f"{connection.name} did not answer within {FORGET_S:g} s, so our retained messages stay there; "
            "try again when it runs"
        ) from None
    finally:
        connection.close(1.0)


def _slug(text: str) -> str:
    """As Home Assistant wants identifiers: letters, digits, underscore and hyphen."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "_"


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
