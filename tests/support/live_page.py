"""A live page without a loop: tests hand it frames and look at what it serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from fer_edge.preview import Preview
from fer_edge.records import Face, Frame, FrameResult
from results import face, result

STATUS = {
    "temperature_c": 61.2, "slowed": False, "under_voltage": False, "failures": 0, "trouble": None, "recording": None,
    "sinks": [{"name": "file x", "queued": 3, "delivered": 9, "dropped": 0, "refused": 0, "connected": None}],
}  # fmt: skip


def frame(level: int = 90, *, width: int = 160, height: int = 120, **facts: Any) -> Frame:
    image = np.full((height, width, 3), level, np.uint8)
    return Frame(image=image, time=time.time(), captured=time.monotonic(), source="test", **facts)


@dataclass
class Page:
    """A served page and how tests reach it."""

    preview: Preview
    status: dict[str, Any]
    seq: int = 0

    @property
    def port(self) -> int:
        return int(self.preview.url.split(":")[2].partition("/")[0])

    def show(self, shown: Frame | None = None, seen: FrameResult | None = None) -> None:
        """One turn of the loop."""
        self.seq += 1
        seen = seen or result(replace(face(), box=(40.0, 30.0, 40.0, 40.0)))
        self.preview.show(shown or frame(), replace(seen, seq=self.seq, time=time.time(), width=160, height=120))

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        connection.settimeout(5)
        return connection

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, named, answer.read()
        finally:
            connection.close()

    def stream(self, path: str) -> socket.socket:
        """An open stream of which the headers were not read yet."""
        connection = self.connect()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return connection

    def until(self, connection: socket.socket, wanted: bytes, *, showing: bool = True, limit_s: float = 5.0) -> bytes:
        """What a stream brings up to `wanted`, while the loop goes on."""
        got = b""
        deadline = time.monotonic() + limit_s
        connection.settimeout(0.05)
        while wanted not in got:
            assert time.monotonic() < deadline, f"{wanted!r} never came, but {got[-2000:]!r}"
            if showing:
                self.show()
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            assert chunk, f"it ended before {wanted!r}: {got[-2000:]!r}"
            got += chunk
        return got


@contextlib.contextmanager
def feeding(page: Page, *faces: Face) -> Iterator[threading.Event]:
    """A loop of thirty frames a second, with these faces or a happy one, for as long as the event is set."""
    going, ended = threading.Event(), threading.Event()
    going.set()

    def feed() -> None:
        while not ended.wait(1 / 30):
            if going.is_set():
                page.show(frame(50 + page.seq % 100), result(*faces) if faces else None)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield going
    finally:
        ended.set()
        feeder.join()


def events(text: bytes) -> list[tuple[str, dict[str, Any]]]:
    return [(kind, json.loads(data)) for kind, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", text.decode())]


def pictures(data: bytes) -> list[tuple[int, np.ndarray]]:
    found = []
    head = rb"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: (\d+)\r\nX-Seq: (\d+)\r\n\r\n"
    for part in re.finditer(head, data):
        jpeg = data[part.end() : part.end() + int(part[1])]
        if len(jpeg) == int(part[1]):
            found.append((int(part[2]), cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)))
    return found
