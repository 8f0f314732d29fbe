"""What the loop hands to the live page, and the thread that serves it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fer_edge.contract.colours import label_colours
from fer_edge.preview.access import Access, Address, own_ip
from fer_edge.preview.history import SPAN_S, History
from fer_edge.preview.http import HttpError
from fer_edge.preview.picture import Snapshot
from fer_edge.preview.server import EVENTS, PICTURES, Server, as_event
from fer_edge.records import Box, Frame, FrameResult

_log = logging.getLogger(__name__)

MODES = ("picture", "blurred", "boxes", "off")
"""What viewers see, from most to least: the frame, the frame made coarse, its faces more so, boxes alone, neither."""

PICTURED = MODES[:2]

INTERVAL_S = 1 / 15
"""Least time between two pictures on average, seconds: no eye misses more, and the loop has better to do."""

POLL_S = 0.015
"""How often the page looks for a frame from the loop, seconds: waking it would cost the loop as much as the copy."""

STALE_S = 0.5
"""A frame that was left so long ago, when the last viewer had just gone, is not shown to the next one."""

TICK_S = 0.5
STATUS_S = 1.0
RATE_S = 2.0
BLUR_S = 1.0
"""A face stays blurred where it was seen during the last second: a detector misses one now and then."""

CLOSE_S = 0.5

_EVERY = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """How the page is served.

    Attributes:
        address: where.
        most: the most visible of `MODES` that may be chosen on the page; it is on at the start.
        name: host name under which the page is reached, where that is not this machine's own.
        token: as `Access` takes it.
    """

    address: Address
    most: str = MODES[0]
    name: str = ""
    token: str | None = None


class Preview:
    """Serves the live page until it is closed.

    While nobody watches, `show` stores one reference. While somebody does, it copies the picture of at
    most 15 frames a second, whenever the page has asked for one; encoding and sending happen in the page's
    own thread, once for all viewers, and frames that come meanwhile are left out.

    Args:
        options: where and for whom.
        labels: the classifier's, in order.
        about: facts about the run that do not change, as JSON values.
        describe: a result as JSON values.
        status: facts about the run that change, as JSON values; called once a second while somebody watches.

    Raises:
        PublishError: the address cannot be listened on.
        ConfigError: the token is unfit.
    """

    def __init__(
        self, options: PreviewOptions, *, labels: tuple[str, ...], about: Mapping[str, Any],
        describe: Callable[[FrameResult], Mapping[str, Any]], status: Callable[[], Mapping[str, Any]],
    ) -> None:  # fmt: skip
        self._access = Access(loopback=options.address.loopback, name=options.name, token=options.token)
        self._options = options
        self._describe, self._status = describe, status
        self._about = {**about, "labels": label_colours(labels), "span_s": SPAN_S}
        self._modes = MODES[MODES.index(options.most) :]
        self._mode = options.most
        self._newest: tuple[FrameResult, float] | None = None
        # Whoever holds the turn uses the snapshot: the page asks, the loop leaves a frame, the page asks again.
        self._asked = False
        self._left: tuple[FrameResult, bool, float] | None = None
        self._snapshot = Snapshot()
        self._boxes: deque[tuple[float, tuple[Box, ...]]] = deque()
        self._history = History()
        self._seen: deque[tuple[float, int]] = deque()
        self._watched = self._pictures_wanted = False
        self._attended, self._stopping = asyncio.Event(), asyncio.Event()
        self._server = Server(
            self._access,
            greeting=self._greeting,
            choose=self._choose,
            pictured=lambda: self._mode in PICTURED,
            audience=self._count,
        )
        self._listening = options.address.listen()
        self._port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The page's address, with the token where it needs one."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """The same by this machine's name and, where the page listens on every interface, by its IP address too."""
        host = self._options.address.host
        if host not in _EVERY:
            return (self._url(host),)
        own = socket.gethostname()
        name = self._options.name or (own if "." in own else f"{own}.local")
        # Not every network knows names that end in .local.
        ip = own_ip(socket.AF_INET6 if host == "::" else socket.AF_INET)
        return (self._url(name),) if ip is None else (self._url(name), self._url(ip))

    def _url(self, host: str) -> str:
        shown = f"[{host}]" if ":" in host else host
        token = f"?token={self._access.token}" if self._access.token else ""
        return f"http://{shown}:{self._port}/{token}"

    def show(self, frame: Frame | None, result: FrameResult) -> None:
        """Take the newest result and the frame it is about, which need not outlive the call.

        Args:
            frame: None where there is no picture (a replay of events).
            result: of this frame.
        """
        now = time.monotonic()
        self._newest = (result, now)
        if not (self._asked and self._watched):
            return
        self._asked = False
        pictured = self._pictures_wanted and frame is not None
        if pictured and frame is not None:
            self._snapshot.take(frame)
        self._left = (result, pictured, now)

    def close(self) -> None:
        """Tell the viewers and stop serving, within a second; may be called twice."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(2 * CLOSE_S)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:  # the page is beside the job: the run goes on without it
            _log.exception("the live page stopped; the run goes on without it")
        finally:
            self._watched = False
            self._listening.close()
            self._loop.close()

    async def _serve(self) -> None:
        listener = await self._server.start(self._listening)
        working = {asyncio.create_task(self._tick()), asyncio.create_task(self._paint())}
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self._watched = False
        listener.close()
        self._server.send_event("bye", "{}")
        await self._server.stop(CLOSE_S)
        for task in (*working, stopping):
            task.cancel()
        await asyncio.gather(*working, stopping, return_exceptions=True)
        for task in working & done:
            task.result()

    async def _tick(self) -> None:
        told = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            if self._newest is not None:
                result, arrived = self._newest
                if not self._seen or arrived > self._seen[-1][0]:
                    self._seen.append((arrived, result.seq))
                    self._history.add(result)
                while self._seen and now - self._seen[0][0] > RATE_S:
                    self._seen.popleft()
            if self._watched and now - told >= STATUS_S - TICK_S / 2:
                told = now
                self._server.send_event("status", _json(self._state(now)))

    async def _paint(self) -> None:
        self._asked = True
        due = 0.0
        while True:
            await self._attended.wait()
            if self._left is None:
                await asyncio.sleep(POLL_S)
                continue
            (result, pictured, arrived), self._left = self._left, None
            now = time.monotonic()
            if now - arrived < STALE_S:
                self._send(result, pictured)
            due = max(due, now - INTERVAL_S) + INTERVAL_S
            await asyncio.sleep(due - time.monotonic())
            self._asked = True

    def _send(self, result: FrameResult, pictured: bool) -> None:
        mode = self._mode
        pictured = pictured and mode in PICTURED
        now = time.monotonic()
        self._boxes.append((now, tuple(face.box for face in result.faces)))
        while now - self._boxes[0][0] > BLUR_S:
            self._boxes.popleft()
        view = self._snapshot.view if pictured else None
        if pictured:
            self._server.send_picture(result.seq, self._snapshot.jpeg(self._blurred(mode)))
        data = {"event": self._describe(result), "view": view, "mode": mode}
        self._server.send_event("result", _json(data))

    def _blurred(self, mode: str) -> list[Box] | None:
        return [box for _, boxes in self._boxes for box in boxes] if mode == "blurred" else None

    def _state(self, now: float) -> dict[str, Any]:
        rate = None
        if len(self._seen) > 1 and self._seen[-1][1] >= self._seen[0][1]:
            (before, first), (after, last) = self._seen[0], self._seen[-1]
            rate = round((last - first) / (after - before), 1)
        return {
            **self._status(),
            "silent_s": None if self._newest is None else round(now - self._newest[1], 2),
            "frames_per_s": rate,
            "dropped": 0 if self._newest is None else self._newest[0].dropped,
            "viewers": self._server.viewers(),
            "mode": self._mode,
            "modes": self._modes,
        }

    def _greeting(self) -> bytes:
        hello = {**self._about, "history": self._history.stretches(), **self._state(time.monotonic())}
        return b"retry: 1000\n" + as_event("hello", _json(hello))

    def _choose(self, mode: str) -> None:
        if mode not in self._modes:
            raise HttpError(403, f"the picture can be one of {', '.join(self._modes)} here")
        if mode != self._mode:
            _log.info("live page: a viewer chose %s", mode)
        self._mode = mode
        self._server.drop_pictures(end=mode not in PICTURED)
        self._count()
        self._server.send_event("status", _json(self._state(time.monotonic())))

    def _count(self) -> None:
        self._watched = bool(self._server.viewers(EVENTS) or self._server.viewers(PICTURES))
        self._pictures_wanted = self._mode in PICTURED and self._server.viewers(PICTURES) > 0
        if self._watched:
            self._attended.set()
        else:
            self._attended.clear()


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
