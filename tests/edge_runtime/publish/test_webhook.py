"""Webhooks against a real server: what is posted, what is tried again, what is never told to whom."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from broker import until

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.publish import Event, SinkContext, background, open_sink, webhook
from fer_edge.publish.triggered import TriggeredSink
from results import face, result

Make = Callable[..., Event]


class Server:
    """Remembers each request and answers with the next of `answers`, with 200 when they are used up."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[int] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.hangs = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if outer.hangs.is_set():
                    time.sleep(3)
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(b"x" * 100_000)

            do_GET = do_POST  # noqa: N815 - http.server's name

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://localhost:{self._server.server_port}/hook/s3cret?a=b"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RETRY_S", 0.01)


def opened(spec: str, context: SinkContext) -> TriggeredSink:
    sink = open_sink(spec, context)
    assert isinstance(sink, TriggeredSink)
    return sink


def test_a_change_is_posted_once_as_the_event_it_is(
    server: Server, context: SinkContext, event: Make, checked: Callable[[bytes], dict[str, Any]]
) -> None:
    sink = opened(server.url, context)
    for seq in range(5):
        sink.publish(event(seq=seq))
    sink.publish(event(result(face(stable="sad"), seq=5)))
    sink.close()

    assert [checked(body)["seq"] for _, _, body in server.requests] == [0, 5]
    path, headers, _ = server.requests[0]
    assert path == "/hook/s3cret?a=b"
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "9f3c2a-0"
    assert "authorization" not in headers
    assert sink.health().delivered == 2


def test_the_rule_behind_the_sign_stays_here(server: Server, context: SinkContext, event: Make) -> None:
    sink = opened(f"{server.url}#expression=sad,timeout=2", context)
    sink.publish(event(seq=0))
    sink.publish(event(result(face(stable="sad"), seq=1)))
    sink.close()
    assert [(path, b'"seq":1' in body) for path, _, body in server.requests] == [("/hook/s3cret?a=b", True)]


def test_what_may_get_better_is_tried_again_and_the_rest_is_not(
    server: Server, context: SinkContext, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for answers, requests, delivered in (([503, 429], 3, 1), ([404], 1, 0), ([302], 1, 0), ([500] * 9, 3, 0)):
        server.answers, server.requests = list(answers), []
        sink = opened(f"{server.url}#retries=2", context)
        sink.publish(event())
        until(lambda sink=sink: sink.health().delivered + sink.health().refused == 1, "it is settled")
        sink.close()
        assert (len(server.requests), sink.health().delivered) == (requests, delivered)
        assert all(path.startswith("/hook") for path, *_ in server.requests), "no redirect is followed"
    assert "webhook localhost answers 503 Service Unavailable" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_server_that_is_away_or_hangs_costs_the_loop_nothing(
    server: Server, context: SinkContext, event: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server.hangs.set()
    gone = Server()
    gone.close()
    for url, reason in ((f"{server.url}#timeout=0.2,retries=0", "timed out"), (f"{gone.url}#retries=1", "refused")):
        sink = opened(url, context)
        began = time.monotonic()
        for seq in range(300):
            sink.publish(event(result(face(stable=("happy", "sad")[seq % 2]), seq=seq, name="clip.mkv#1")))
        assert time.monotonic() - began < 10
        until(lambda sink=sink: sink.health().refused >= 1, "the first is given up")
        assert sink.health().queued <= background.CAPACITY and sink.health().dropped >= 200
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < 10
        assert reason in caplog.text
    assert len([said for said in caplog.messages if "cannot be reached" in said]) == 2, "each is said once"


def test_a_token_is_sent_to_this_machine_and_over_tls_alone(
    server: Server, context: SinkContext, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_WEBHOOK_TOKEN", "t0ken")
    sink = opened(server.url, context)
    sink.publish(event())
    sink.close()
    assert server.requests[0][1]["authorization"] == "Bearer t0ken"

    with pytest.raises(ConfigError, match=r"would go to hooks\.example unencrypted") as refused:
        open_sink("http://hooks.example/x", context)
    assert "t0ken" not in str(refused.value)
    opened("https://hooks.example/x", context).close()


@pytest.mark.parametrize("token", ["s3cret\nsecond line", "s3crét", "s3cret\t"])
def test_a_token_that_no_header_takes_is_refused_without_being_shown(
    token: str, context: SinkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_EDGE_WEBHOOK_TOKEN", token)
    with pytest.raises(ConfigError, match="webhook token is not one line") as refused:
        open_sink("https://hooks.example/x", context)
    assert "s3cr" not in str(refused.value)


def test_what_stays_on_this_machine_goes_through_no_proxy(
    server: Server, context: SinkContext, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    sink = opened(server.url, context)
    sink.publish(event())
    until(lambda: sink.health().delivered == 1, "the delivery")
    sink.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("openssl is not installed, which makes the test's certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    request = [tool, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*request, *names, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_https_trusts_nobody_by_chance(
    certificate: Path, context: SinkContext, event: Make, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = Server(tls)
    try:
        stranger = opened(f"{server.url}#retries=0", context)
        stranger.publish(event())
        until(lambda: stranger.health().refused == 1, "a refusal")
        stranger.close()
        assert "certificate verify failed" in caplog.text and server.requests == []

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        friend = opened(server.url, context)
        friend.publish(event())
        until(lambda: friend.health().delivered == 1, "the delivery")
        friend.close()
        assert len(server.requests) == 1
    finally:
        server.close()


@pytest.mark.parametrize(
    "spec",
    ["https:", "https://", "https:///path", "https://h:0/", "https://h:x/", "https://[::1/", "https://h/a b",
     "https://h/\n", "https://hé/", "https://a..b/", "https://h/#timeout=0", "https://h/#retries=99", "https://h/#quality=1"],
)  # fmt: skip
def test_nonsense_is_refused_with_the_form(spec: str, context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)
    assert webhook.FORM in str(raised.value)


@pytest.mark.parametrize("spec", ["https://me:s3cret@h/", "https://s3cret@h/"])
def test_a_password_in_the_address_is_refused_and_not_repeated(
    spec: str, context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UsageError, match="FER_EDGE_WEBHOOK_TOKEN_FILE") as raised:
        open_sink(spec, context)
    assert "s3cret" not in str(raised.value) + caplog.text
