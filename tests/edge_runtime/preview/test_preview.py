"""The page over real connections: what viewers get, and what nobody can do to it."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_page import Page, events, frame, pictures

from fer_edge.preview import MODES, Address
from fer_edge.preview.server import MAX_VIEWERS, MAX_WAITING
from results import face, result

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef"
Serve = Callable[..., Page]


def is_alive(page: Page) -> bool:
    return page.ask("GET", "/")[0] == 200


def test_the_page_and_all_that_it_loads(page: Page) -> None:
    status, headers, body = page.ask("GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    wanted = set(re.findall(rb'(?:src|href)="(/[a-z.]+)"', body)) - {b"/stream.mjpg"}
    modules = re.findall(rb'from "\./([a-z]+\.js)"', page.ask("GET", "/main.js")[2])
    assert len(wanted) >= 3
    assert len(modules) >= 5
    for path in [*wanted, *(b"/" + name for name in modules)]:
        status, headers, body = page.ask("GET", path.decode())
        assert (status, bool(body)) == (200, True), path
        assert headers["x-content-type-options"] == "nosniff"
        # Nothing comes from the network: no address but the name of SVG's own language.
        assert not set(re.findall(rb"https?://[^\"' ]+", body)) - {b"http://www.w3.org/2000/svg"}


def test_a_viewer_is_greeted_and_gets_results_and_pictures_of_the_same_frames(page: Page) -> None:
    with page.stream("/events") as stream, page.stream("/stream.mjpg") as film:
        got = events(page.until(stream, b"event: status"))
        seen = pictures(page.until(film, b"--frame", limit_s=2) + page.until(film, b"--frame"))
    (kind, hello), *rest = got
    assert kind == "hello"
    assert (hello["device"], hello["mode"], hello["modes"]) == ("pi-kitchen", "picture", list(MODES))
    assert list(hello["labels"]) == list(result().labels)
    results = [data for kind, data in rest if kind == "result"]
    assert results[-1]["event"]["faces"][0]["stable"] == "happy"
    assert results[-1]["view"] == [0, 0, 160, 120]
    assert abs(float(seen[0][1].mean()) - 90) < 3
    assert seen[0][0] in {data["event"]["seq"] for data in results}
    status = next(data for kind, data in rest if kind == "status")
    assert status["temperature_c"] == 61.2
    assert status["sinks"][0]["queued"] == 3
    assert status["silent_s"] < 1


def test_at_most_fifteen_pictures_a_second(page: Page) -> None:
    with page.stream("/stream.mjpg") as film:
        page.until(film, b"\r\n\r\n")
        film.settimeout(0.001)
        got, began = b"", time.monotonic()
        while time.monotonic() - began < 2:
            page.show()
            try:
                got += film.recv(1 << 20)
            except TimeoutError:
                time.sleep(0.001)
    assert page.seq > 100, "the loop itself was faster"
    assert 2 <= len(pictures(got)) <= 2 * 15 + 2


def test_nothing_is_copied_or_encoded_while_nobody_watches(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []
    monkeypatch.setattr("fer_edge.preview.picture.Snapshot.take", lambda self, shown: taken.append(shown))
    described: list[object] = []
    page.preview._describe = lambda seen: described.append(seen) or {}
    for _ in range(50):
        page.show()
        time.sleep(0.01)
    assert not taken
    assert not described


def test_nothing_is_copied_once_the_last_viewer_has_gone(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with page.stream("/stream.mjpg") as film:
        page.until(film, b"--frame")
    deadline = time.monotonic() + 5
    while page.preview._watched and time.monotonic() < deadline:
        time.sleep(0.01)
    with monkeypatch.context() as patch:
        patch.setattr("fer_edge.preview.picture.Snapshot.take", lambda self, shown: pytest.fail("it was copied"))
        for _ in range(50):
            page.show()
    with page.stream("/stream.mjpg") as film:
        page.until(film, b"--frame")


def test_only_boxes_are_sent_where_only_events_are_watched(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[object] = []
    monkeypatch.setattr("fer_edge.preview.picture.Snapshot.take", lambda self, shown: taken.append(shown))
    with page.stream("/events") as stream:
        got = events(page.until(stream, b"event: result"))
    assert got[-1][1]["view"] is None
    assert not taken


def test_a_later_viewer_sees_the_last_minutes(page: Page) -> None:
    for stable in ("happy", "sad"):
        for _ in range(15):
            page.show(seen=result(replace(face(), stable=stable)))
            time.sleep(0.1)
    with page.stream("/events") as stream:
        _, hello = events(page.until(stream, b"\n\n", showing=False))[0]
    assert [label for _, label, _, _ in hello["history"]] == ["happy", "sad"]
    assert hello["frames_per_s"] == pytest.approx(10, abs=4)


def test_a_source_that_stops_is_told(page: Page) -> None:
    with page.stream("/events") as stream:
        page.until(stream, b"event: result")
        got = events(page.until(stream, b'"silent_s":2.', showing=False))
    assert [kind for kind, _ in got][-1] == "status"


def test_the_page_reads_the_parts_by_a_type_that_every_browser_hands_over(page: Page) -> None:
    """WebKit cancels a multipart answer to anything but an image."""
    with page.stream("/stream.mjpg?raw") as film:
        got = page.until(film, b"--frame")
    assert b"content-type: application/octet-stream" in got.lower()
    with page.stream("/stream.mjpg") as film:
        assert b"multipart/x-mixed-replace" in page.until(film, b"--frame")


def test_other_sites_are_refused(page: Page) -> None:
    host = f"127.0.0.1:{page.port}"
    assert page.ask("POST", "/privacy", "off", Origin="http://evil.example")[0] == 403
    assert page.ask("POST", "/privacy", "off", Origin=f"http://{host}")[0] == 200
    assert page.ask("GET", "/events", Sec_Fetch_Site="cross-site")[0] == 403
    assert page.ask("GET", "/", Host="evil.example")[0] == 421
    assert page.ask("GET", "/", Sec_Fetch_Site="cross-site")[0] == 200, "a link may lead here"
    assert not any(name.startswith("access-control") for name in page.ask("GET", "/")[1])


def test_beyond_loopback_the_token_becomes_a_cookie(serve: Serve) -> None:
    page = serve(address=Address("0.0.0.0", 0), token=TOKEN)
    assert page.preview.url.endswith(f"/?token={TOKEN}")
    for path in ("/", "/main.js", "/events", "/stream.mjpg", "/nowhere"):
        status, _, body = page.ask("GET", path)
        assert status == 401
        assert TOKEN.encode() not in body
        assert b'<form action="/">' in body
    assert page.ask("POST", "/privacy", "off")[0] == 401
    status, headers, _ = page.ask("GET", f"/?token={TOKEN}")
    assert (status, headers["location"]) == (303, "/")
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert page.ask("GET", "/", Cookie=cookie)[0] == 200
    assert page.ask("HEAD", "/events", Cookie=cookie)[0] == 200
    assert page.ask("GET", "/", Cookie=cookie + "x")[0] == 401
    assert page.ask("HEAD", f"/stream.mjpg?token={TOKEN}")[0] == 200, "players take no cookies"


def test_a_fifth_viewer_waits_until_one_leaves(page: Page) -> None:
    streams = [page.stream("/events") for _ in range(MAX_VIEWERS)]
    for stream in streams:
        page.until(stream, b"event: hello", showing=False)
    status, headers, _ = page.ask("GET", "/events")
    assert (status, headers["retry-after"]) == (503, "5")
    assert page.ask("HEAD", "/events")[0] == 503
    streams.pop().close()
    deadline = time.monotonic() + 3
    while page.ask("HEAD", "/events")[0] == 503 and time.monotonic() < deadline:
        time.sleep(0.02)
    with page.stream("/events") as late:
        page.until(late, b"event: hello", showing=False)
    for stream in streams:
        stream.close()


def test_a_viewer_that_stops_reading_holds_up_nobody(page: Page) -> None:
    noisy = frame(width=960, height=720)
    noisy.image[:] = np.random.default_rng(0).integers(0, 256, noisy.image.shape, np.uint8)
    stuck = page.stream("/stream.mjpg")
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with stuck, page.stream("/stream.mjpg") as film:
        got, slowest, began = b"", 0.0, time.monotonic()
        film.settimeout(0.02)
        while len(re.findall(rb"--frame", got)) < 8:
            assert time.monotonic() - began < 10, "the other viewer starves"
            before = time.thread_time()
            page.show(noisy)
            slowest = max(slowest, time.thread_time() - before)
            try:
                got += film.recv(1 << 20)
            except TimeoutError:
                continue
    assert slowest < 0.1, "the loop waited for a viewer"


def test_a_stuck_viewer_is_let_go(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.preview.server.STALL_S", 0.3)
    noisy = frame(width=960, height=720)
    noisy.image[:] = np.random.default_rng(0).integers(0, 256, noisy.image.shape, np.uint8)
    with page.stream("/stream.mjpg"):
        deadline, came = time.monotonic() + 8, False
        while time.monotonic() < deadline:
            page.show(noisy)
            viewers = page.preview._server.viewers("/stream.mjpg")
            came = came or viewers == 1
            if came and viewers == 0:
                return
            time.sleep(0.01)
    pytest.fail("it still counts as a viewer")


def test_a_thousand_connections(page: Page) -> None:
    opened: list[socket.socket] = []
    try:
        for _ in range(1000):
            # Those that had to make room are closed by the other side; ours are dropped as a client would.
            opened.append(page.connect())
            if len(opened) > 100:
                opened.pop(0).close()
        assert is_alive(page)
        assert len(page.preview._server._waiting) <= MAX_WAITING
    finally:
        for connection in opened:
            connection.close()


def test_a_megabyte_of_headers(page: Page) -> None:
    with page.connect() as connection:
        answer = b""
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\n")
            answer = connection.recv(100)
        except ConnectionError:
            pass  # it was refused before it was read to its end
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert is_alive(page)


def test_a_slow_request_is_cut_off(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.preview.http.REQUEST_TIMEOUT_S", 0.3)
    with page.connect() as connection:
        began = time.monotonic()
        connection.settimeout(0.05)
        for byte in b"GET / HTTP/1.1\r\nX: " + b"y" * 200:
            try:
                connection.send(bytes([byte]))
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - began < 4
    assert is_alive(page)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page/../preview.py",
        "//etc/passwd",
        "/index.html/..",
        "/main.js%00",
    ],
)  # fmt: skip
def test_no_path_leads_out(page: Page, path: str) -> None:
    status, _, body = page.ask("GET", path)
    assert status == 404
    assert b"root:" not in body


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=400), st.booleans())
def test_any_bytes_do_no_harm(page: Page, data: bytes, begun: bool) -> None:
    with page.connect() as connection:
        try:
            connection.sendall((b"GET /" if begun else b"") + data + b"\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except ConnectionError:
            pass
    assert page.preview._thread.is_alive()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("DELETE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405), ("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405),
        ("POST /privacy HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("POST /privacy HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n", 411),
        ("POST /privacy HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ("POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405), ("GET / HTTP/1.1\r\n\r\n", 421),
    ],
)  # fmt: skip
def test_what_the_page_does_not_take(page: Page, request_text: str, status: int) -> None:
    with page.connect() as connection:
        connection.sendall(request_text.encode())
        assert connection.recv(100).startswith(f"HTTP/1.1 {status} ".encode())


def test_closing_tells_the_viewers_and_frees_the_port(page: Page) -> None:
    port = page.port
    with page.stream("/events") as stream:
        page.until(stream, b"event: hello")
        began = time.monotonic()
        page.preview.close()
        assert time.monotonic() - began < 2
        got = page.until(stream, b"event: bye", showing=False)
    assert b"event: bye" in got
    page.preview.close()
    with Address("127.0.0.1", port).listen():
        pass
    page.show()
    assert not any(thread.name == "live page" and thread is page.preview._thread for thread in threading.enumerate())


def test_a_page_that_breaks_does_not_break_the_run(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, seen: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("fer_edge.preview.history.History.add", broken)
    deadline = time.monotonic() + 5
    while page.preview._thread.is_alive() and time.monotonic() < deadline:
        page.show()
        time.sleep(0.02)
    assert "the live page stopped; the run goes on" in caplog.text
    page.show()
