"""A real mosquitto on a port of the loopback, and somebody who hears everything it delivers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fer_edge.contract.errors import PublishError, UsageError

START_S = 20.0
"""How long a broker may take to listen, seconds."""


class Mosquitto:
    """A broker that keeps sessions and queued messages over a stop, as one in service does.

    Args:
        folder: for its configuration and its database.

    Raises:
        UsageError: mosquitto is not installed.
    """

    def __init__(self, folder: Path) -> None:
        found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if found is None:
            raise UsageError("this scenario needs a broker: sudo apt install mosquitto")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._command = [found, "-c", str(folder / "mosquitto.conf")]
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            # The default of a thousand would be the broker's loss, not ours.
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            PublishError: it does not.
        """
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        until(self._listens, START_S, "mosquitto did not begin to listen")

    def stop(self) -> None:
        """Stop it as a service manager does (SIGTERM), so that it saves what it has promised to keep."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class Listener:
    """Subscribes with a session that outlives connections, and counts each event by `run` and `seq`.

    Args:
        port: the broker's, on the loopback.
        topic: where events are heard.
        session: name under which the broker keeps the session.

    Attributes:
        heard: how often each event came.
        late: events whose first arrival came after that of a later one of the same run.
    """

    def __init__(self, port: int, topic: str, *, session: str = "soak") -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self.heard: Counter[tuple[str, int]] = Counter()
        self.late = 0
        self._newest: dict[str, int] = {}
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=session, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_subscribe = lambda *arguments: subscribed.set()
        self._client.on_message = lambda client, data, message: self._take(message.payload)
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 86_400
        self._client.connect("127.0.0.1", port, clean_start=False, properties=lasting)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        if not subscribed.wait(START_S):
            raise PublishError("mosquitto did not confirm the subscription")

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish one message and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(START_S)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, payload: bytes) -> None:
        event = json.loads(payload)
        run, seq = event["run"], event["seq"]
        self.heard[run, seq] += 1
        if self.heard[run, seq] == 1:
            self.late += seq < self._newest.get(run, -1)
            self._newest[run] = max(seq, self._newest.get(run, -1))


def until(happens: Callable[[], bool], within_s: float, otherwise: str) -> None:
    """Wait for something.

    Raises:
        PublishError: it did not happen within `within_s` seconds; `otherwise` says what is missing.
    """
    deadline = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > deadline:
            raise PublishError(f"{otherwise} within {within_s:g} s")
        time.sleep(0.02)
