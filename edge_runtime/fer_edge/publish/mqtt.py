"""Events to an MQTT broker, protocol version 5 (OASIS MQTT 5.0)."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from fer_edge.contract.errors import ConfigError, MissingExtraError, UsageError
from fer_edge.publish.event import Event
from fer_edge.publish.spec import SinkContext, whole_number_options

if TYPE_CHECKING:
    import ssl

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

FORM = "mqtt://[USER@]HOST[:PORT]/TOPIC[?qos=0]"
FORM_TLS = FORM.replace("mqtt:", "mqtts:")

MAX_PENDING = 1000
"""Events that may wait for a slow broker; further ones are dropped and counted."""

RECONNECT_S = (1, 120)
"""First and longest pause between attempts to connect, seconds; doubled in between."""

KEEPALIVE_S = 30
"""A broker that is silent for one and a half times this long is given up, seconds."""

FIRST_CONNECT_S = 2.0
"""Time that opening waits for the broker's first answer, so that a short run loses nothing, seconds."""

CLOSE_S = 1.0
"""Time that closing may take, seconds."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}

_log = logging.getLogger(__name__)


class Broker(NamedTuple):
    """Where and as whom to publish.

    Attributes:
        host, port: of the broker.
        topic: that events go to; TOPIC/availability says online or offline.
        qos: 0, 1 or 2, of the events.
        user, password: or None.
        tls: how to secure the connection, or None for none.
    """

    host: str
    port: int
    topic: str
    qos: int
    user: str | None
    password: str | None
    tls: ssl.SSLContext | None


def open_mqtt(spec: str, context: SinkContext) -> MqttSink:
    """Open `mqtt://` or `mqtts://`; with `?qos=1` or `?qos=2` the broker confirms each event.

    The user may stand in the spec or in FER_EDGE_MQTT_USER. The password comes from FER_EDGE_MQTT_PASSWORD
    or from the file that FER_EDGE_MQTT_PASSWORD_FILE names and is used where there is a user; it never stands
    in the spec, which everybody on the machine can read. `mqtts` trusts the system's certificates, or those in
    the file FER_EDGE_MQTT_CA.

    Raises:
        UsageError: the spec is malformed or holds a password.
        ConfigError: the password or the certificates cannot be read.
        MissingExtraError: paho-mqtt is not installed.
    """
    return MqttSink(parse_broker(spec), every_frame=context.every_frame)


def parse_broker(spec: str) -> Broker:
    """Read a spec and the FER_EDGE_MQTT_* environment; raises as `open_mqtt`."""
    form = FORM_TLS if spec.startswith("mqtts:") else FORM
    try:
        url = urlsplit(spec)
        host, port = url.hostname or "", url.port
        host.encode("idna")
    except ValueError as error:  # not shown: it may quote the spec, and the spec may hold a password
        raise UsageError(f"an MQTT output has a host or a port that cannot be used; it is written {form}") from error
    if url.password is not None:
        raise UsageError(
            "an MQTT output must not hold a password, which everybody on this machine could read; "
            "put it into FER_EDGE_MQTT_PASSWORD or into a file that FER_EDGE_MQTT_PASSWORD_FILE names"
        )
    if not host or port == 0:
        raise UsageError(f"an MQTT output lacks its host or names port 0; it is written {form}")
    topic = unquote(url.path.removeprefix("/"))
    # urlsplit() takes a # for the beginning of a fragment.
    if not topic or "#" in spec or any(character in topic for character in "#+\0") or len(topic.encode()) > 65_000:
        raise UsageError(f"an MQTT output needs a topic, in which # and + are not allowed; it is written {form}")
    user = unquote(url.username) if url.username else os.environ.get("FER_EDGE_MQTT_USER")
    return Broker(
        host=host,
        port=port or _PORTS[url.scheme],
        topic=topic,
        qos=whole_number_options(url.query, form, qos=(0, range(3)))["qos"],
        user=user or None,
        password=_password() if user else None,
        tls=_tls() if url.scheme == "mqtts" else None,
    )


class MqttSink:
    """Publishes from a thread of its own; once open it never waits for the broker.

    While the broker is away, connecting goes on with growing pauses, and events are dropped and counted:
    they tell what is seen now. TOPIC/availability is retained: `online` while connected, else `offline`
    (the last will, so also after a power cut).

    Attributes:
        dropped: events that found no connection or no room.
        refused: messages that the broker took but did not accept (needs qos 1 or 2).

    Args:
        broker: where to.
        every_frame: whether to take frames without faces.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(self, broker: Broker, *, every_frame: bool) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        except ImportError as error:
            raise MissingExtraError("an MQTT output", "mqtt") from error
        self.every_frame = every_frame
        self.dropped = 0
        self.refused = 0
        self._topic, self._qos = broker.topic, broker.qos
        self._where = f"{broker.host}:{broker.port}"
        self.name = f"MQTT broker {self._where}"
        self._pending: deque[MQTTMessageInfo] = deque()
        self._tried = threading.Event()
        self._online = threading.Event()
        self._ended = threading.Event()
        self._closing = False
        self._said: set[str] = set()
        # The broker chooses the client's name: two outputs to one broker must not push each other out.
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            self._client.tls_set_context(broker.tls)
        self._client.max_queued_messages_set(MAX_PENDING)
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.will_set(self._availability, "offline", qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(broker.host, broker.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()
        self._tried.wait(FIRST_CONNECT_S)

    def publish(self, event: Event) -> None:
        """Hand one event to the network thread; dropped and counted where there is no connection or no room."""
        self._settle()
        if not self._online.is_set() or len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending.append(self._client.publish(self._topic, event.json, qos=self._qos))

    def close(self) -> None:
        """Deliver what is pending, for at most a second, and say `offline`."""
        if self._closing:
            return
        self._closing = True
        deadline = time.monotonic() + CLOSE_S
        if self._online.is_set():
            self._flush(deadline)
            self._client.disconnect(_with_will())
            # Not loop_stop(): it would wait for an attempt to connect. The thread is a daemon and ends itself.
            self._ended.wait(max(0.0, deadline - time.monotonic()))
        else:
            self._client.disconnect()
        self._settle()
        self.dropped += len(self._pending)
        self._pending.clear()
        if self.dropped or self.refused:
            _log.warning("%s: dropped %d events, refused %d", self.name, self.dropped, self.refused)

    @property
    def _availability(self) -> str:
        return f"{self._topic}/availability"

    def _settle(self) -> None:
        """Forget the oldest pending events whose fate is known."""
        while self._pending:
            try:
                if not self._pending[0].is_published():
                    return
            except (RuntimeError, ValueError):
                self.dropped += 1  # the connection broke before it was sent
            self._pending.popleft()

    def _flush(self, deadline: float) -> None:
        for info in self._pending:
            try:
                info.wait_for_publish(max(0.0, deadline - time.monotonic()))
            except (RuntimeError, ValueError):
                continue  # lost with its connection

    # What follows runs in the network thread.

    def _on_connect(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._say_once("refused", f"refuses us ({reason}); check user, password and the broker's access rules")
            self._tried.set()
            return
        if self._closing:
            client.disconnect()
            return
        _log.info("connected to %s, publishing to %s", self.name, self._topic)
        self._said.clear()
        # Quality 0: were it lost with this connection, the next one would say it again.
        client.publish(self._availability, "online", qos=0, retain=True)
        self._online.set()
        self._tried.set()

    def _on_connect_fail(self, client: Client, data: object) -> None:
        # paho calls this while it handles the exception, which alone knows the reason.
        reason = sys.exc_info()[1]
        self._say_once("away", f"cannot be reached ({reason})")
        self._tried.set()

    def _on_disconnect(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        was_online = self._online.is_set()
        self._online.clear()
        if self._closing:
            self._ended.set()
        elif was_online:
            # Where the broker said nothing, paho has only "Unspecified error".
            why = reason if flags.is_disconnect_packet_from_server else "the connection broke"
            self._say_once("away", f"has gone ({why})")

    def _on_publish(
        self, client: Client, data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.refused += 1
            self._say_once("publish", f"does not accept {self._topic} ({reason}); check the broker's access rules")

    def _say_once(self, kind: str, what: str) -> None:
        """One line in the log for each kind of trouble until the next connection."""
        if kind in self._said or self._closing:
            return
        self._said.add(kind)
        going_on = "" if kind == "publish" else "; events are dropped until it is back, still trying"
        _log.warning("%s %s%s", self.name, what, going_on)


def _with_will() -> ReasonCode:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    return ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")


def _password() -> str | None:
    name = os.environ.get("FER_EDGE_MQTT_PASSWORD_FILE")
    if not name:
        return os.environ.get("FER_EDGE_MQTT_PASSWORD")
    try:
        return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(
            f"the password file {name} of FER_EDGE_MQTT_PASSWORD_FILE cannot be read ({reason})"
        ) from error


def _tls() -> ssl.SSLContext:
    import ssl

    authority = os.environ.get("FER_EDGE_MQTT_CA")
    try:
        return ssl.create_default_context(cafile=authority or None)
    except OSError as error:  # a missing file, or one without certificates
        raise ConfigError(
            f"the certificates {authority} of FER_EDGE_MQTT_CA cannot be read ({error.strerror or error})"
        ) from error
