"""The connection to an MQTT broker, protocol version 5 (OASIS MQTT 5.0), kept up by a thread of paho's."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from fer_edge.contract.errors import MissingExtraError
from fer_edge.publish.broker import Broker

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo, SocketLike
    from paho.mqtt.enums import MQTTErrorCode
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_log = logging.getLogger(__name__)

RECONNECT_S = (1, 120)
"""First and longest pause between attempts to connect, seconds; doubled in between."""

KEEPALIVE_S = 30
"""A broker that is silent for one and a half times this long is given up, seconds."""

MAX_INCOMING_BYTES = 4096
"""Larger packets are not sent to us (MQTT 5.0, 3.1.2.11.4): the one topic we listen to says a word."""

ONLINE, OFFLINE = b"online", b"offline"

_NEVER_ACCEPTED = (0x90, 0x95, 0x99)
"""Topic name invalid, packet too large, payload format invalid: the same message fails for ever (3.4.2.1)."""


class Connected(NamedTuple):
    """The broker has let us in."""

    again: bool


class Acknowledged(NamedTuple):
    """The broker has answered for a message.

    Attributes:
        mid: the message's number in `MQTTMessageInfo`.
        refused: it was not accepted.
        for_ever: nor would it be at another time.
    """

    mid: int
    refused: bool
    for_ever: bool


class Heard(NamedTuple):
    """A message on the topic we listen to."""

    payload: bytes


Note = Connected | Acknowledged | Heard
"""What the connection tells its owner, from paho's thread."""


class Connection:
    """Connects, reconnects with growing pauses, and says once in the log what is wrong.

    TOPIC/availability is retained: `online` while connected, else `offline` (the last will, so also after a
    power cut).

    Args:
        broker: where to.
        tell: gets every `Note`; called in paho's thread, must not wait.
        meanwhile: what happens to events while the broker is away, for the log.
        listen_to: a topic whose messages are to be heard, or None.
        will: whether TOPIC/availability is kept.

    Attributes:
        name: for messages, without credentials.
        online: set while the broker takes messages.
        tried: set once the first attempt has ended, well or not.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
    """

    def __init__(
        self,
        broker: Broker,
        tell: Callable[[Note], None],
        *,
        meanwhile: str,
        listen_to: str | None = None,
        will: bool = True,
    ) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties
        except ImportError as error:
            raise MissingExtraError("an MQTT output", "mqtt") from error
        self.name = f"MQTT broker {broker.host}:{broker.port}"
        self.online, self.tried = threading.Event(), threading.Event()
        self._topic, self._tell, self._meanwhile, self._listen_to = broker.topic, tell, meanwhile, listen_to
        self._will = will
        self._ended = threading.Event()
        self._closing = False
        self._connections = 0
        self._said: set[str] = set()
        self._last_error = ""
        self._other_topics: dict[int, str] = {}

        class HonestClient(Client):
            # paho goes on with a QoS 2 message that PUBREC has refused and calls it published (MQTT 5.0, 4.3.3);
            # PUBREC is built as PUBACK is, and a refusal ends the message in the same way.
            def _handle_pubrec(self) -> MQTTErrorCode:
                reason = self._in_packet["packet"][2:3]
                return self._handle_pubackcomp("PUBACK") if reason >= b"\x80" else super()._handle_pubrec()

        # The broker chooses the client's name: two outputs to one broker must not push each other out.
        self._client = HonestClient(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            self._client.tls_set_context(broker.tls)
        self._client.reconnect_delay_set(*RECONNECT_S)
        if will:
            self._client.will_set(self._availability, OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_log = self._on_log
        self._client.on_socket_open = _send_at_once
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limits.MaximumPacketSize = MAX_INCOMING_BYTES
        self._client.connect_async(broker.host, broker.port, keepalive=KEEPALIVE_S, properties=limits)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> MQTTMessageInfo:
        """Hand one message to paho; never waits. With qos 1 and 2 paho repeats it until it is acknowledged."""
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos and topic != self._topic:
            self._other_topics[info.mid] = topic
        return info

    def close(self, timeout_s: float) -> None:
        """Say `offline` and part from the broker; at most `timeout_s` seconds."""
        self._closing = True
        if self.online.is_set():
            self._client.disconnect(_with_will())
            # Not loop_stop(): it would wait for an attempt to connect. The thread is a daemon and ends itself.
            self._ended.wait(timeout_s)
        else:
            self._client.disconnect()

    @property
    def _availability(self) -> str:
        return f"{self._topic}/availability"

    # What follows runs in paho's thread.

    def _on_connect(
        self, client: Client, data: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._say_once("away", f"refuses us ({reason}); check user, password and the broker's access rules")
            self.tried.set()
            return
        if self._closing:
            client.disconnect()
            return
        _log.info("connected to %s, publishing to %s", self.name, self._topic)
        self._said.clear()
        if self._listen_to is not None:
            client.subscribe(self._listen_to, qos=0)
        if self._will:
            # Quality 0: were it lost with this connection, the next one would say it again.
            client.publish(self._availability, ONLINE, qos=0, retain=True)
        self._connections += 1
        self.online.set()
        self._tell(Connected(again=self._connections > 1))
        self.tried.set()

    def _on_connect_fail(self, client: Client, data: object) -> None:
        # paho calls this while it handles the exception, which alone knows the reason.
        reason = sys.exc_info()[1]
        self._say_once("away", f"cannot be reached ({reason})")
        self.tried.set()

    def _on_disconnect(
        self, client: Client, data: object, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        was_online = self.online.is_set()
        self.online.clear()
        if self._closing:
            self._ended.set()
            return
        # Where the broker said nothing, paho has only "Unspecified error".
        why = str(reason) if flags.is_disconnect_packet_from_server else self._last_error or "the connection broke"
        self._last_error = ""
        # Under TLS 1.3 a broker refuses a client's certificate only after the handshake (RFC 8446, 4.4.2.4).
        self._say_once("away", f"has gone ({why})" if was_online else f"closed the connection unanswered ({why})")
        self.tried.set()

    def _on_publish(
        self, client: Client, data: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        topic = self._other_topics.pop(mid, self._topic)
        if reason.is_failure:
            self._say_once(
                f"publish {topic}", f"does not accept messages on {topic} ({reason}); check the broker's access rules"
            )
        self._tell(Acknowledged(mid, reason.is_failure, reason.value in _NEVER_ACCEPTED))

    def _on_message(self, client: Client, data: object, message: MQTTMessage) -> None:
        self._tell(Heard(bytes(message.payload)))

    def _on_log(self, client: Client, data: object, level: int, text: str) -> None:
        from paho.mqtt.enums import LogLevel

        # The only place where paho says why a connection broke.
        reason = text.removeprefix("failed to receive on socket: ")
        if level == LogLevel.MQTT_LOG_ERR and reason != text:
            self._last_error = reason

    def _say_once(self, kind: str, what: str) -> None:
        """One line in the log for each kind of trouble until the next connection."""
        if kind in self._said or self._closing:
            return
        self._said.add(kind)
        going_on = "" if kind == "publish" else f"; still trying, and {self._meanwhile}"
        _log.warning("%s %s%s", self.name, what, going_on)


def _send_at_once(client: Client, data: object, connection: SocketLike) -> None:
    assert isinstance(connection, socket.socket)
    # Nagle's algorithm and the broker's delayed acknowledgements wait 40 ms for each other.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _with_will() -> ReasonCode:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    return ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
