"""Events to an MQTT broker: written ahead to disk, delivered in order, deleted when the broker has them."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.publish import homeassistant
from fer_edge.publish.broker import FORM, FORM_TLS, Broker, parse_broker
from fer_edge.publish.changes import Changes
from fer_edge.publish.connection import Acknowledged, Connected, Connection, Heard, Note
from fer_edge.publish.event import Event, timestamp
from fer_edge.publish.health import SinkHealth
from fer_edge.publish.spec import SinkContext
from fer_edge.records import FrameResult

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

    from fer_edge.publish.spool import Spool

__all__ = ["FORM", "FORM_TLS", "MqttSink", "open_mqtt"]

_log = logging.getLogger(__name__)

MAX_PENDING = 1000
"""Events that may wait in memory, for the disk or (at qos 0) for the broker; further ones are dropped and counted."""

WINDOW = 20
"""Messages on their way to the broker at a time; what it has not acknowledged is sent again in the same order."""

FIRST_CONNECT_S = 2.0
"""Time that opening waits for the broker's first answer, so that a short run loses nothing, seconds."""

CLOSE_S = 1.0
"""Time that closing may take, seconds."""

REFUSED_S = (1.0, 120.0)
"""First and longest pause after a message that the broker did not accept, seconds; doubled in between."""

_TIDY_S = 5.0
"""Deletions wait so long for the next write, so that an event costs a card one commit and not two, seconds."""

_TICK_S = 0.5


class _Taken(NamedTuple):
    event: Event
    picked: bool
    framed: bool


class _Close(NamedTuple):
    deadline: float


def open_mqtt(spec: str, context: SinkContext) -> MqttSink:
    """Open `mqtt://` or `mqtts://`.

    The user may stand in the spec or in FER_EDGE_MQTT_USER. The password is the secret `mqtt_password`
    (`read_secret`) and is used where there is a user; it never stands in the spec, which everybody on the
    machine can read. `mqtts` trusts the system's certificates, or those in the file FER_EDGE_MQTT_CA, and
    shows the one in FER_EDGE_MQTT_CERT with its key FER_EDGE_MQTT_KEY.

    Raises:
        UsageError: the spec is malformed or holds a password.
        ConfigError: the password or the certificates cannot be read.
        MissingExtraError: paho-mqtt is not installed.
        PublishError: another process publishes to the same topic of the same broker.
    """
    from fer_edge.publish.spool import Spool, spool_file  # SQLite is for those who use it

    broker = parse_broker(spec)
    kept = context.state if broker.qos else None
    path = kept and spool_file(kept, f"{broker.host}:{broker.port}/{broker.topic}")
    spool = Spool(path, max_bytes=broker.spool_bytes)
    try:
        sink = MqttSink(broker, context, spool)
    except BaseException:
        spool.close()
        raise
    sink.wait_until_tried(FIRST_CONNECT_S)
    return sink


class MqttSink:
    """Publishes from a thread of its own; never waits for disk or broker.

    TOPIC           stable changes and one event a second, at `qos`; with 1 and 2 through the spool
    TOPIC/frames    if asked for, every frame with faces (with `every_frame` all of them), at qos 0
    TOPIC/availability, TOPIC/status, TOPIC/stats    retained: online or offline; what runs; how it runs
    TOPIC/state     with discovery, retained: what is seen now, never what was seen during an outage

    Args:
        broker: where to.
        context: device, run and the board's state.
        spool: keeps what the broker has not acknowledged; closed at the end.
        every_frame: see `TOPIC/frames`.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
    """

    every_frame = True  # that nobody is there any more is a change too

    def __init__(self, broker: Broker, context: SinkContext, spool: Spool) -> None:
        self._broker, self._context, self._spool = broker, context, spool
        self._inbox: queue.SimpleQueue[Note | _Taken | _Close] = queue.SimpleQueue()
        self._changes = Changes()
        # The loop's thread counts what it puts in, the sink's what it takes out: neither waits for the other.
        self._put = self._got = self._overflowed = self._frames = 0
        self._latest: FrameResult | None = None
        self._delivered = self._dropped = self._refused = self._reconnects = 0
        self._in_flight: dict[int, int] = {}
        self._unconfirmed: deque[MQTTMessageInfo] = deque()
        self._done: list[int] = []
        self._sent = 0
        self._pause_s = 0.0
        self._resume = 0.0
        self._started = self._progress = self._tidied = time.monotonic()
        self._stats_at, self._stats_frames, self._lost_before = self._started, 0, 0
        self._closing: _Close | None = None
        self._failure: Exception | None = None
        self._connection = Connection(
            broker,
            self._inbox.put,
            meanwhile="events wait in the spool" if broker.qos else "events are dropped",
            listen_to=f"{broker.discovery}/status" if broker.discovery else None,
        )
        self.name = self._connection.name
        self._thread = threading.Thread(target=self._work, name=f"publish {self.name}", daemon=True)
        self._thread.start()

    def publish(self, event: Event) -> None:
        """Take one frame's event; dropped and counted where a thousand wait already."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        result = event.result
        self._frames += 1
        self._latest = result
        picked = self._changes.picks(result)
        framed = self._broker.frames and bool(result.faces or self._context.every_frame)
        if not (picked or framed):
            return
        if self._put - self._got >= MAX_PENDING:
            self._overflowed += 1
            return
        self._put += 1
        self._inbox.put(_Taken(event, picked, framed))

    def health(self) -> SinkHealth:
        """The sink's counters. Progress is what the disk took; an absent broker is none of the sink's business."""
        queued = self._put - self._got
        return SinkHealth(
            name=f"{self.name}/{self._broker.topic}",
            queued=queued,
            spooled=self._waiting(),
            spool_bytes=self._spool.size_bytes,
            delivered=self._delivered,
            dropped=self._overflowed + self._dropped + self._spool.dropped,
            refused=self._refused,
            reconnects=self._reconnects,
            connected=self._connection.online.is_set(),
            last_progress=self._progress if queued else time.monotonic(),
        )

    def wait_until_tried(self, timeout_s: float) -> None:
        """Wait for the end of the first attempt to connect, good or bad."""
        self._connection.tried.wait(timeout_s)

    def close(self) -> None:
        """Deliver what is pending, for at most a second, and say `offline`; what is left stays in the spool."""
        if self._closing is not None:
            return
        self._closing = _Close(time.monotonic() + CLOSE_S)
        self._inbox.put(self._closing)
        self._thread.join(CLOSE_S + _TICK_S)
        health = self.health()
        if health.dropped or health.refused:
            _log.warning("%s: dropped %d events, was refused %d", self.name, health.dropped, health.refused)
        if health.spooled and self._spool.on_disk:
            _log.info("%s: %d events wait on disk for the next start", self.name, health.spooled)

    # What follows runs in the sink's own thread.

    def _work(self) -> None:
        try:
            while self._closing is None or not self._finished(self._closing.deadline):
                self._take(self._notes())
                if self._connection.online.is_set():
                    self._feed()
                    if time.monotonic() - self._stats_at >= self._broker.stats_s:
                        self._tell_how_it_runs()
            self._spool.store((), self._done)
            self._done = []
        except Exception as error:  # raised in the loop: a thread that died unheard would lose everything
            self._failure = error
        finally:
            self._connection.close(max(0.1, self._closing.deadline - time.monotonic()) if self._closing else 0.1)
            self._spool.close()

    def _finished(self, deadline: float) -> bool:
        if time.monotonic() >= deadline:
            return True
        if self._put > self._got:
            return False
        return not self._connection.online.is_set() or not (self._unconfirmed or self._waiting())

    def _waiting(self) -> int:
        """Messages in the spool that the broker has not acknowledged."""
        # One that was acknowledged may have had to make room before it was deleted.
        return max(0, len(self._spool) - len(self._done))

    def _notes(self) -> list[Note | _Taken | _Close]:
        # While closing, what went out at qos 0 is asked for, since paho tells nobody.
        wait_s = 0.01 if self._closing is not None else _TICK_S
        notes: list[Note | _Taken | _Close] = []
        try:
            notes.append(self._inbox.get(timeout=wait_s))
            while len(notes) < MAX_PENDING:
                notes.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        return notes

    def _take(self, notes: list[Note | _Taken | _Close]) -> None:
        taken = [note for note in notes if isinstance(note, _Taken)]
        for note in notes:
            if isinstance(note, Connected):
                self._reconnects += note.again
                self._introduce()
            elif isinstance(note, Acknowledged):
                self._settle(note)
            elif isinstance(note, Heard) and note.payload == homeassistant.BIRTH:
                self._introduce()
        self._confirm()
        picked = [note.event.json for note in taken if note.picked]
        if self._broker.qos:
            tidy = len(self._done) >= WINDOW * 4 or time.monotonic() - self._tidied >= _TIDY_S
            if picked or (self._done and tidy):
                self._spool.store(picked, self._done)
                self._done, self._tidied = [], time.monotonic()
        else:
            for payload in picked:
                self._send_unconfirmed(self._broker.topic, payload)
        for note in taken:
            if note.framed:
                self._send_unconfirmed(f"{self._broker.topic}/frames", note.event.json)
        if taken:
            self._tell_what_is_seen(taken[-1].event.result)
        self._got += len(taken)
        self._progress = time.monotonic()

    def _feed(self) -> None:
        """Send what waits in the spool, oldest first, as far as the window allows."""
        if time.monotonic() < self._resume or (self._pause_s and self._in_flight):
            return
        # After a refusal one message tries whether the others are welcome.
        room = (1 if self._pause_s else WINDOW) - len(self._in_flight)
        if room <= 0 or self._sent >= self._spool.newest:
            return
        for id, payload in self._spool.after(self._sent, room):
            info = self._connection.publish(self._broker.topic, payload, qos=self._broker.qos)
            self._in_flight[info.mid] = id
            self._sent = id

    def _settle(self, note: Acknowledged) -> None:
        id = self._in_flight.pop(note.mid, None)
        if id is None:
            return  # it was no event
        self._refused += note.refused
        if not note.refused:
            self._delivered += 1
            self._pause_s = 0.0
        if not note.refused or note.for_ever:
            self._done.append(id)
            return
        # Rules can be mended: it is kept, and tried again from the oldest on.
        if time.monotonic() >= self._resume:
            self._pause_s = min(max(2 * self._pause_s, REFUSED_S[0]), REFUSED_S[1])
            self._resume = time.monotonic() + self._pause_s
        self._sent = min(self._sent, id - 1)

    def _send_unconfirmed(self, topic: str, payload: bytes) -> None:
        if not self._connection.online.is_set() or len(self._unconfirmed) >= MAX_PENDING:
            self._dropped += 1
            return
        self._unconfirmed.append(self._connection.publish(topic, payload))

    def _confirm(self) -> None:
        """Forget the oldest messages at qos 0 whose fate is known."""
        while self._unconfirmed:
            try:
                if not self._unconfirmed[0].is_published():
                    return
                self._delivered += 1
            except (RuntimeError, ValueError):
                self._dropped += 1  # the connection broke before it was sent
            self._unconfirmed.popleft()

    def _introduce(self) -> None:
        """Say who we are: after connecting, and when Home Assistant or the broker has forgotten it."""
        if self._broker.discovery:
            topic = homeassistant.discovery_topic(self._broker, self._context.device)
            self._connection.publish(topic, homeassistant.discovery(self._broker, self._context), qos=1, retain=True)
            if self._latest is not None:
                self._tell_what_is_seen(self._latest)
        self._tell_how_it_runs()

    def _tell_what_is_seen(self, result: FrameResult) -> None:
        if self._broker.discovery and self._connection.online.is_set():
            self._connection.publish(f"{self._broker.topic}/state", homeassistant.state(result), retain=True)

    def _tell_how_it_runs(self) -> None:
        now, frames = time.monotonic(), self._frames
        uptime_s = now - self._started
        status = {
            **self._context.facts(),
            "device": self._context.device,
            "run": self._context.run,
            "started": timestamp(time.time() - uptime_s),
            "uptime_s": round(uptime_s),
        }
        elapsed = now - self._stats_at
        # Right after a connection the interval is too short to count in.
        rate = round((frames - self._stats_frames) / elapsed, 1) if elapsed >= 1.0 else None
        self._stats_at, self._stats_frames = now, frames
        self._say("status", status)
        self._say("stats", {"time": timestamp(time.time()), "frames": frames, "frames_per_s": rate} | self._figures())

    def _figures(self) -> dict[str, Any]:
        health, result = self.health(), self._latest
        board = self._context.board() if self._context.board else None
        losing, self._lost_before = health.dropped > self._lost_before, health.dropped
        words = homeassistant.HEALTH
        return {
            "faces": len(result.faces) if result else 0,
            "temperature_c": board.temperature_c if board else None,
            "throttled": board.throttled if board else None,
            "health": words[1] if board and board.slowed
            else words[2] if board and board.under_voltage
            else words[3] if losing else words[0],
            "queued": health.queued,
            "spooled": health.spooled,
            "spool_bytes": health.spool_bytes,
            "delivered": health.delivered,
            "dropped": health.dropped,
            "refused": health.refused,
            "reconnects": health.reconnects,
        }  # fmt: skip

    def _say(self, name: str, values: dict[str, Any]) -> None:
        payload = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        self._connection.publish(f"{self._broker.topic}/{name}", payload, retain=True)
