"""A real Motion-JPEG stream over HTTP on the loopback interface."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames import SourceOptions, live, open_source
from fer_edge.frames.network import NetworkStream


class Camera(BaseHTTPRequestHandler):
    """Sends frames whose grey level grows by 2, at 50 a second, until `server.sending` is cleared.

    After `server.good` frames those of `server.large` follow.
    """

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        try:
            while self.server.sending.is_set():  # type: ignore[attr-defined]
                shape = (120, 160) if number < self.server.good else self.server.large  # type: ignore[attr-defined]
                _, jpeg = cv2.imencode(".jpg", np.full((*shape, 3), 2 * (number % 120), np.uint8))
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n")
                self.wfile.write(f"Content-Length: {len(jpeg)}\r\n\r\n".encode() + jpeg.tobytes() + b"\r\n")
                number += 1
                time.sleep(0.02)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.sending = threading.Event()  # type: ignore[attr-defined]
    server.sending.set()  # type: ignore[attr-defined]
    server.good, server.large = float("inf"), (0, 0)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.sending.clear()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_a_stream_is_read_live_until_it_stops_and_again_when_it_is_back(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "GRACE_S", 0.2)
    address = f"127.0.0.1:{server.server_port}/video"
    source = open_source(f"http://admin:geheim@{address}?pwd=geheim", SourceOptions())
    try:
        first = source.read()
        assert first is not None
        assert first.image.shape == (120, 160, 3) and first.source == f"http://{address}" and first.name is None
        level = int(first.image.mean())
        time.sleep(0.5)
        later = source.read()
        assert later is not None and later.image.mean() > level + 10  # not the next one: the newest
        assert source.dropped > 5 and later.captured > first.captured + 0.3  # type: ignore[attr-defined]

        server.sending.clear()  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError, match="stopped delivering") as error:
            for _ in range(1000):
                source.read()
        assert "geheim" not in str(error.value) + caplog.text

        server.sending.set()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 20
        back = None
        while back is None and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                back = source.read()
        assert back is not None and back.image.shape == (120, 160, 3)
    finally:
        before = time.monotonic()
        source.close()
        assert time.monotonic() - before < 1


def test_a_sender_cannot_fill_the_memory_with_one_picture(server: ThreadingHTTPServer) -> None:
    server.good, server.large = 0, (3000, 6000)  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match="pictures of 6000x3000 pixels, more than 16,777,216; set a smaller"):
        NetworkStream(f"http://127.0.0.1:{server.server_port}/video")


def test_pictures_that_grow_later_keep_the_size_of_the_first(server: ThreadingHTTPServer) -> None:
    server.good, server.large = 20, (600, 800)  # type: ignore[attr-defined]
    with contextlib.closing(NetworkStream(f"http://127.0.0.1:{server.server_port}/video")) as source:
        # Grey levels grow by 2 a frame: over 60 it is one of the large ones.
        level, deadline = 0.0, time.monotonic() + 20
        while level < 60 and time.monotonic() < deadline:
            frame = source.read()
            assert frame is not None and frame.size == (160, 120)
            level = float(frame.image.mean())
    assert level >= 60


def test_an_address_where_nothing_answers_is_named_without_its_password() -> None:
    with pytest.raises(SourceError, match=r"rtsp://127\.0\.0\.1:9/live cannot be opened") as error:
        open_source("rtsp://admin:geheim@127.0.0.1:9/live", SourceOptions())
    assert "geheim" not in str(error.value) and "admin" not in str(error.value)
