"""The web server of the live page: one thread, few connections, no viewer that can hold up another."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import socket
from collections.abc import Callable
from importlib import resources

from fer_edge.preview.access import Access
from fer_edge.preview.http import HEAD_LIMIT, POLICY, HttpError, Request, head, read_request, response

_log = logging.getLogger(__name__)

MAX_VIEWERS = 4
"""Viewers at a time, each with one stream of events and one of pictures."""

MAX_WAITING = 32
"""Connections without a stream at a time; a further one takes the place of the oldest."""

STALL_S = 10.0
"""A viewer that takes nothing for so long is let go, seconds."""

SEND_BUFFER = 131_072
"""Bytes the system may hold for a viewer: one or two pictures, so that what arrives is recent."""

EVENTS, PICTURES = "/events", "/stream.mjpg"
_BOUNDARY = "frame"
_STREAM_TYPES = {
    EVENTS: "text/event-stream; charset=utf-8",
    PICTURES: f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
}
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 12vh auto 2rem; padding: 0 1.25rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.4rem; }
form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; }
label { flex: 1 1 14rem; }
input { display: block; width: 100%; box-sizing: border-box; }
input, button { font: inherit; padding: .4rem .8rem; }
"""
_NO_TOKEN = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>fer-edge</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>{_STYLE}</style>
<h1>This page needs its token</h1><p>Open the address that fer-edge wrote to its log when it started: it ends in
<code>?token=…</code>. Where the log shows three dots there, somebody has set a token: that one belongs in their place.
Once is enough; this browser then remembers it until it is closed.</p>
<form action="/"><label>Token <input name="token" required autocomplete="off" autocapitalize="none"
spellcheck="false"></label><button>Open</button></form></html>"""
# This page can load nothing before the token is known: its style stands in it, and its hash in its policy.
_NO_TOKEN_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Outbox:
    """What one viewer has still to be sent: the newest message of each kind, so it never grows.

    While the viewer keeps up, a message goes straight to the connection: no task has to wake for it.

    Args:
        writer: the connection.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._pending: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, kind: str, message: bytes) -> None:
        """Send a message, or keep it in place of the last of its kind while the viewer is behind."""
        transport = self._writer.transport
        if not (self._pending or self._closed or transport.is_closing() or transport.get_write_buffer_size()):
            self._writer.write(message)
            return
        self._pending.pop(kind, None)
        self._pending[kind] = message
        self._changed.set()

    def discard(self) -> None:
        """Forget what is pending."""
        self._pending.clear()

    def close(self) -> None:
        """No more comes; what is pending is still sent."""
        self._closed = True
        self._changed.set()

    async def behind(self) -> bool:
        """Wait until something is pending; False at the end."""
        while not self._pending and not self._closed:
            self._changed.clear()
            await self._changed.wait()
        return bool(self._pending)

    def take(self) -> bytes:
        """All that is pending."""
        messages = b"".join(self._pending.values())
        self._pending.clear()
        return messages


class Server:
    """Answers requests and feeds viewers; all of it runs in one event loop.

    Args:
        access: who is let in.
        greeting: the first events of a new viewer.
        choose: takes the privacy mode that a viewer asks for; raises HttpError where it may not be had.
        pictured: whether there are pictures to be seen at present.
        audience: told whenever a viewer comes or goes.
    """

    def __init__(
        self, access: Access, *, greeting: Callable[[], bytes], choose: Callable[[str], None],
        pictured: Callable[[], bool], audience: Callable[[], None],
    ) -> None:  # fmt: skip
        self._access = access
        self._greeting, self._choose, self._pictured, self._audience = greeting, choose, pictured, audience
        self._assets = _load_assets()
        self._cookie = ""
        self._waiting: dict[asyncio.Task[None], None] = {}
        self._streams: dict[str, dict[Outbox, asyncio.Task[None]]] = {EVENTS: {}, PICTURES: {}}

    def viewers(self, path: str = EVENTS) -> int:
        """How many streams of this kind are watched."""
        return len(self._streams[path])

    async def start(self, listening: socket.socket) -> asyncio.Server:
        """Begin to answer."""
        self._cookie = f"fer-edge-{listening.getsockname()[1]}"
        return await asyncio.start_server(self._connected, sock=listening, limit=HEAD_LIMIT)

    async def stop(self, timeout_s: float) -> None:
        """Let every viewer have its last messages, and all of them go."""
        for outbox in (*self._streams[EVENTS], *self._streams[PICTURES]):
            outbox.close()
        tasks = {*self._waiting, *self._streams[EVENTS].values(), *self._streams[PICTURES].values()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def send_event(self, kind: str, data: str) -> None:
        """Send one event to all viewers (html.spec.whatwg.org, server-sent events)."""
        message = as_event(kind, data)
        for outbox in self._streams[EVENTS]:
            outbox.put(kind, message)

    def send_picture(self, seq: int, jpeg: bytes) -> None:
        """Send one picture to all viewers, with its frame's number so that boxes can be matched to it."""
        part = (
            f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\nX-Seq: {seq}\r\n\r\n"
        ).encode() + jpeg
        for outbox in self._streams[PICTURES]:
            outbox.put("picture", part + b"\r\n")

    def drop_pictures(self, *, end: bool) -> None:
        """Send no picture that was made before now; with `end`, none at all to who watches at present."""
        for outbox in self._streams[PICTURES]:
            outbox.discard()
            if end:
                outbox.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._waiting) >= MAX_WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.cancel()
        self._waiting[task] = None
        try:
            await self._answer(reader, writer)
            async with asyncio.timeout(STALL_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the viewer left, was too slow, or had to make room
        finally:
            self._waiting.pop(task, None)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await read_request(reader)
            self._check(request)
            if request.path in self._streams:
                await self._stream(request, reader, writer)
                return
            answer = self._page(request)
        except HttpError as error:
            kind, policy = (_TYPES["html"], _NO_TOKEN_POLICY) if error.status == 401 else (_TEXT, POLICY)
            answer = response(error.status, kind, f"{error}\n".encode(), "Retry-After: 5", policy=policy)
        writer.write(answer)

    def _check(self, request: Request) -> None:
        if not self._access.knows_host(request):
            raise HttpError(421, "open this page by an IP address or this machine's name, or set preview_name to it")
        if request.method not in ("GET", "HEAD", "POST"):
            raise HttpError(405, "this page is only read")
        if not self._access.admits(request, self._cookie):
            raise HttpError(401, _NO_TOKEN)
        # A link on another site may lead to the page itself and to nothing behind it.
        if request.path != "/" and not self._access.same_site(request):
            raise HttpError(403, "another site may not use this page")

    def _page(self, request: Request) -> bytes:
        if request.method == "POST":
            if request.path != "/privacy":
                raise HttpError(405, "only the privacy mode can be set")
            self._choose(request.body.decode("latin-1"))
            return response(200, _TEXT, b"")
        if request.path == "/" and self._access.is_token(request.query.get("token", "")):
            cookie = f"Set-Cookie: {self._cookie}={self._access.token}; Path=/; HttpOnly; SameSite=Lax"
            return response(303, _TEXT, b"", "Location: /", cookie)
        if request.path not in self._assets:
            raise HttpError(404, "there is nothing here; the live page is at /")
        kind, body = self._assets[request.path]
        return response(200, kind, b"" if request.method == "HEAD" else body)

    async def _stream(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outboxes = self._streams[request.path]
        if request.method == "POST":
            raise HttpError(405, "a stream is only read")
        if len(outboxes) >= MAX_VIEWERS:
            raise HttpError(503, f"{MAX_VIEWERS} viewers are watching already")
        if request.path == PICTURES and not self._pictured():
            raise HttpError(403, "the picture is switched off")
        # The page reads the parts itself, and WebKit cancels a multipart answer to anything but an image.
        kind = _BYTES if "raw" in request.query else _STREAM_TYPES[request.path]
        writer.write(head(200, kind))
        if request.method == "HEAD":
            return
        task = asyncio.current_task()
        assert task is not None
        self._waiting.pop(task, None)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        writer.transport.set_write_buffer_limits(high=0)
        outbox = Outbox(writer)
        outboxes[outbox] = task
        leaving = asyncio.create_task(_cancel_when_gone(reader, task))
        try:
            self._audience()
            if request.path == EVENTS:
                outbox.put("greeting", self._greeting())
            while await outbox.behind():
                async with asyncio.timeout(STALL_S):
                    await writer.drain()
                writer.write(outbox.take())
        finally:
            leaving.cancel()
            del outboxes[outbox]
            self._audience()


def as_event(kind: str, data: str) -> bytes:
    """One server-sent event; `data` is a single line."""
    return f"event: {kind}\ndata: {data}\n\n".encode("utf-8", "replace")


async def _cancel_when_gone(reader: asyncio.StreamReader, stream: asyncio.Task[None]) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(HEAD_LIMIT):
            pass
    stream.cancel()


def _load_assets() -> dict[str, tuple[str, bytes]]:
    folder = resources.files("fer_edge.preview") / "page"
    assets = {
        f"/{entry.name}": (_TYPES[entry.name.rpartition(".")[2]], entry.read_bytes()) for entry in folder.iterdir()
    }
    assets["/"] = assets.pop("/index.html")
    return assets
