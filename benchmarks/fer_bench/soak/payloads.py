"""Hostile messages on the one MQTT topic that is listened to."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

from fer_bench.soak import attempts
from fer_bench.soak.broker import event
from fer_bench.soak.mosquitto import Listener, Mosquitto, until
from fer_edge.contract.errors import PublishError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.publish import SinkContext, open_sink
from fer_edge.publish.homeassistant import BIRTH

FULL = 2_000
ANSWER_S = 30.0

_TOPIC = "soak/camera"
_SEED = 2026


class _Announcements(Listener):
    """Counts what is announced to Home Assistant."""

    count = 0

    def _take(self, payload: bytes) -> None:
        self.count += 1


def payload_mutations(scale: float) -> dict[str, Any]:
    """Say damaged things in Home Assistant's name, and see whether anything but its birth is believed.

    Args:
        scale: 1 is 2,000 messages.

    Returns:
        Figures; `accepted_wrongly` are announcements that no birth had asked for.

    Raises:
        UsageError: mosquitto is not installed.
    """
    count = attempts(FULL, scale)
    rng = random.Random(_SEED)
    with tempfile.TemporaryDirectory(prefix="fer-soak-") as name:
        broker = Mosquitto(Path(name))
        broker.start()
        events = Listener(broker.port, _TOPIC)
        hub = _Announcements(broker.port, "homeassistant/device/#", session="hub")
        context = SinkContext(device="soak", run="r", every_frame=False, labels=FER2013_LABELS)
        sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/{_TOPIC}?discovery=homeassistant", context)
        crashed = births = 0
        try:
            until(lambda: hub.count == 1, ANSWER_S, "the device was not announced")
            for number in range(count):
                payload = _mutated(rng)
                births += payload == BIRTH
                events.say("homeassistant/status", payload, retain=rng.random() < 0.1)
                if number % 50 == 0:
                    crashed += not _still_works(sink, events, number)
            crashed += not _still_works(sink, events, count)
            until(lambda: hub.count > births, ANSWER_S, "a birth was not answered")
            time.sleep(0.5)  # an answer too many would come now
            accepted = hub.count - 1
        finally:
            sink.close()
            for listener in (events, hub):
                listener.close()
            broker.stop()
    return {"payloads": count, "crashed": crashed, "accepted": accepted, "accepted_wrongly": accepted - births}


def _still_works(sink: Any, events: Listener, number: int) -> bool:
    try:
        sink.publish(event(number, run="r"))
        until(lambda: ("r", number) in events.heard, ANSWER_S, "an event did not arrive")
    except PublishError:
        return False
    return bool(sink.health().connected)


def _mutated(rng: random.Random) -> bytes:
    kind = rng.randrange(6)
    if kind == 0:
        return BIRTH
    if kind == 1:
        return rng.randbytes(rng.choice((0, 1, 6, 100, 5_000, 100_000)))
    if kind == 2:
        return rng.choice(
            (b"offline", b"Online", b"online\n", b"\0online", b'"online"', b"{}", b"null", b"online" * 900)
        )
    at = rng.randrange(len(BIRTH))
    return BIRTH[:at] + rng.randbytes(kind - 2) + BIRTH[at + rng.randrange(2) :]
