"""A real mosquitto on the loopback, and somebody who listens to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Broker:
    """mosquitto on a free port of the loopback."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nuser root\npersistence false\n{settings}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", self._config], stderr=subprocess.DEVNULL)
        until(self.answers, "the broker listens")

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reload(self) -> None:
        """Read passwords and rules again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def pause(self, paused: bool) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)


@contextlib.contextmanager
def guarded(folder: Path, user: str, password: str) -> Iterator[Broker]:
    """A running broker that lets in who has this password; skips where there is no mosquitto or no paho."""
    if MOSQUITTO is None or not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto is not installed (sudo apt install mosquitto)")
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the mqtt extra)")
    users = folder / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, user, password], check=True, capture_output=True)
    broker = Broker(folder, f"allow_anonymous false\npassword_file {users}")
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Subscriber:
    """Hears everything that `topics` matches, as topic, payload and whether it was retained."""

    def __init__(
        self, port: int, user: str | None = None, password: str | None = None, *,
        tls: ssl.SSLContext | None = None, topics: str = "fer/#",
    ) -> None:  # fmt: skip
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        subscribed: list[object] = []
        self._client.on_subscribe = lambda *arguments: subscribed.append(arguments)
        self._client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.connect("localhost" if tls else "127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(topics, qos=2)
        until(lambda: bool(subscribed), "the subscription is confirmed")

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in self.heard if heard == topic]

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def until(happens: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline, f"not seen in {within_s} s: {what}"
        time.sleep(0.005)
