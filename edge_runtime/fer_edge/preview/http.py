"""As much of HTTP/1.1 (RFC 9112) as the live page needs: one request a connection, bounded in size and time."""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

HEAD_LIMIT = 16_384
"""Bytes of request line and headers."""

BODY_LIMIT = 64
"""Bytes of a body; the only one there is names a privacy mode."""

REQUEST_TIMEOUT_S = 5.0
"""From accepting a connection until its request is complete, seconds."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load (w3.org/TR/CSP3)."""

SECURITY = (
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Resource-Policy: same-origin",
    "Cross-Origin-Opener-Policy: same-origin",
    "Permissions-Policy: camera=(), microphone=(), geolocation=()",
    "Cache-Control: no-store",
)

_TARGET = re.compile(rb"/[\x21-\x7e]*")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?", re.ASCII)


class HttpError(Exception):
    """A request that is answered with this status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request.

    Attributes:
        method: in capitals.
        path: percent-decoded, as it was sent: nothing is looked up in a file system with it.
        query: the last value of each parameter.
        headers: by name in lower case; repeated ones joined by commas.
        body: at most `BODY_LIMIT` bytes.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def host(self) -> str | None:
        """The `Host` header without port and brackets, in lower case; None where it is no host."""
        match = _HOST.fullmatch(self.headers.get("host", "").lower())
        return match[1].strip("[]").removesuffix(".") if match else None


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request.

    Args:
        reader: with `limit` set to `HEAD_LIMIT`.

    Raises:
        HttpError: it is malformed or too large.
        TimeoutError: it was not complete after `REQUEST_TIMEOUT_S`.
        asyncio.IncompleteReadError: the other side left before.
    """
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise HttpError(431, "these headers are too long") from error
        request = parse_head(head)
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not (length.isascii() and length.isdecimal()):
            raise HttpError(411, "a body needs a Content-Length")
        if len(length) > 9 or int(length) > BODY_LIMIT:
            raise HttpError(413, "this body is too long")
        if length == "0":
            return request
        body = await reader.readexactly(int(length))
    return Request(
        method=request.method, path=request.path, query=request.query, headers=request.headers, body=body
    )  # fmt: skip


def parse_head(head: bytes) -> Request:
    """Request line and headers, up to and with the empty line.

    Raises:
        HttpError: they are malformed.
    """
    line, *fields = head[:-4].split(b"\r\n")
    parts = line.split(b" ")
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]) or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise HttpError(400, "this is no HTTP/1.1 request")
    method, target = parts[0].decode("ascii"), parts[1]
    if not _TARGET.fullmatch(target):
        raise HttpError(400, "this is no path")
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise HttpError(400, "this is no header")
        key, text = name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    path, _, query = target.decode("ascii").partition("?")
    try:
        parameters = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=16))
    except ValueError as error:
        raise HttpError(400, "this address has too many parameters") from error
    return Request(method=method, path=unquote(path), query=parameters, headers=headers)


def head(status: int, content_type: str, *more: str, policy: str = POLICY) -> bytes:
    """Status line and headers of a response after which the connection ends.

    Args:
        status: as in RFC 9110.
        content_type: of the body.
        more: further header lines.
        policy: of the content's security.
    """
    lines = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", f"Content-Type: {content_type}",
        f"Content-Security-Policy: {policy}", *SECURITY, "Connection: close", *more,
    )  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(status: int, content_type: str, body: bytes, *more: str, policy: str = POLICY) -> bytes:
    """A whole response."""
    return head(status, content_type, f"Content-Length: {len(body)}", *more, policy=policy) + body
