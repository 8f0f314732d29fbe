"""The live page as a run opens it: where its token comes from, and who learns of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from fer_edge.contract.errors import ConfigError
from fer_edge.health import Health
from fer_edge.preview import Preview
from fer_edge.publish import SinkContext
from fer_edge.service import watching
from fer_edge.service.config import Settings
from fer_edge.service.watching import board, open_preview
from results import result

TOKEN = "0123456789abcdef"
GIVEN = ("FER_EDGE_PREVIEW_TOKEN", "FER_EDGE_PREVIEW_TOKEN_FILE", "CREDENTIALS_DIRECTORY")


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of this machine's own."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def opened(address: str = "0.0.0.0:0") -> Iterator[Preview]:
    context = SinkContext(device="pi", run="9f3c2a", every_frame=False, labels=result().labels)
    page = open_preview(Settings(preview=address), context, status=dict, opens=False)
    try:
        yield page
    finally:
        page.close()


def answer(page: Preview, token: str | None = None) -> int:
    port = page.url.split("/")[2].rpartition(":")[2]
    query = "" if token is None else f"?token={token}"
    connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
    try:
        connection.request("GET", f"/{query}")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("how", GIVEN)
def test_a_token_of_the_users_own_opens_the_page_and_stays_out_of_the_log(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "preview_token"
    path.write_text(TOKEN + "\n")
    values = {"FER_EDGE_PREVIEW_TOKEN": TOKEN, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    monkeypatch.setenv(how, values.get(how, str(path)))
    with caplog.at_level(logging.DEBUG), opened() as page:
        assert page.url.endswith(f"/?token={TOKEN}")
        assert answer(page) == 401
        assert answer(page, TOKEN[:-1] + "x") == 401
        assert answer(page, TOKEN) == 303
    assert "live page: http://" in caplog.text
    assert TOKEN not in caplog.text


def test_without_one_each_start_makes_its_own_and_says_it(caplog: pytest.LogCaptureFixture) -> None:
    tokens = set()
    for _ in range(2):
        with caplog.at_level(logging.INFO), opened() as page:
            tokens.add(page.url.partition("token=")[2])
            assert page.url in caplog.text
    assert len(tokens) == 2 and "" not in tokens


def test_the_log_names_the_address_where_a_name_may_not_resolve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for ip in ("192.168.1.20", None):
        monkeypatch.setattr("fer_edge.preview.preview.own_ip", lambda family, ip=ip: ip)
        caplog.clear()
        with caplog.at_level(logging.INFO), opened() as page:
            assert (" or http://192.168.1.20:" in caplog.text) == (ip is not None)
            assert all(url in caplog.text for url in page.urls)


@pytest.mark.parametrize(("throttled", "slowed"), [(None, None), (0, False), (0b1000, True)])
def test_a_board_that_does_not_say_is_not_called_well(
    throttled: int | None, slowed: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "read_health", lambda: Health(61.0, throttled))
    assert board()["slowed"] is slowed


def test_on_loopback_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", TOKEN)
    with opened("127.0.0.1:0") as page:
        assert "token" not in page.url
        assert answer(page) == 200


@pytest.mark.parametrize("content", [b"", b"short", b"two words and more", b"\xff" * 20, None])
def test_a_token_that_protects_nothing_or_cannot_be_read_is_refused(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN_FILE", str(path))
    with pytest.raises(ConfigError, match="FER_EDGE_PREVIEW_TOKEN"), opened():
        pass
