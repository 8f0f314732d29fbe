"""Requests: whatever arrives is either understood or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.preview.http import HttpError, parse_head, response


def test_a_request_as_browsers_send_it() -> None:
    request = parse_head(
        b"GET /a%20b?token=x%2By&q= HTTP/1.1\r\nHost: Pi.local:8808\r\nCookie: a=1\r\ncookie: b=2\r\n\r\n"
    )
    assert (request.method, request.path, request.query) == ("GET", "/a b", {"token": "x+y", "q": ""})
    assert request.host == "pi.local"
    assert request.headers["cookie"] == "a=1, b=2"


@pytest.mark.parametrize(
    ("host", "seen"),
    [
        ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1"), ("pi.local.", "pi.local"), ("a b", None), ("", None),
        ("evil.com/..", None), ("a:b:c", None), ("user@pi", None),
    ],
)  # fmt: skip
def test_host(host: str, seen: str | None) -> None:
    assert parse_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).host == seen


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"GET http://other/ HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n", b"GET /?" + b"a&" * 40 + b" HTTP/1.1\r\n\r\n",
        b"G\xc3\x84T / HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(head: bytes) -> None:
    with pytest.raises(HttpError) as refused:
        parse_head(head)
    assert refused.value.status == 400


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_understood_or_refused(data: bytes, begun: bool) -> None:
    try:
        request = parse_head((b"GET /x" if begun else b"") + data + b"\r\n\r\n")
    except HttpError as error:
        assert 400 <= error.status < 500
    else:
        assert request.path.startswith("/")


def test_a_response_ends_the_connection_and_forbids_what_the_page_does_not_need() -> None:
    head, _, body = response(200, "text/plain", b"hello").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert "Connection: close" in lines
    assert "Content-Length: 5" in lines
    policy = next(line for line in lines if line.startswith("Content-Security-Policy: "))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not any(line.lower().startswith("access-control") for line in lines)
    assert body == b"hello"
