"""What waits for a viewer, over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from fer_edge.preview.server import Outbox


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Outbox, asyncio.StreamWriter, socket.socket]]:
    """An outbox, its connection, and the viewer's end, of which nobody reads."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setblocking(False)
    _, writer = await asyncio.open_connection(sock=ours)
    writer.transport.set_write_buffer_limits(high=0)
    try:
        yield Outbox(writer), writer, theirs
    finally:
        writer.transport.abort()
        theirs.close()


async def read(theirs: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += await asyncio.get_running_loop().sock_recv(theirs, size)
    return got


def test_a_viewer_that_keeps_up_gets_every_message_at_once() -> None:
    async def scene() -> None:
        async with connected() as (outbox, _, theirs):
            for number in range(5):
                outbox.put("result", b"%d" % number)
                assert theirs.recv(10) == b"%d" % number, "no task ran in between"
            assert outbox.take() == b""

    asyncio.run(scene())


def test_a_viewer_that_is_behind_gets_the_newest_of_each_kind_once_it_has_read() -> None:
    async def scene() -> None:
        async with connected() as (outbox, writer, theirs):
            outbox.put("picture", b"x" * 1_000_000)
            for number in range(3):
                outbox.put("result", b"result %d;" % number)
                outbox.put("picture", b"picture %d;" % number)
            assert await outbox.behind()
            reading = asyncio.create_task(read(theirs, 1_000_000))
            await writer.drain()
            outbox.put("result", b"result 3;")
            assert outbox.take() == b"picture 2;result 3;"
            assert await reading == b"x" * 1_000_000

    asyncio.run(scene())


def test_what_is_forgotten_is_not_the_end_and_what_is_pending_is_still_sent() -> None:
    async def scene() -> None:
        async with connected() as (outbox, _, _theirs):
            outbox.put("picture", b"x" * 1_000_000)
            outbox.put("picture", b"private")
            outbox.discard()
            waiting = asyncio.create_task(outbox.behind())
            await asyncio.sleep(0)
            assert not waiting.done()
            outbox.put("bye", b"bye")
            outbox.close()
            assert await waiting
            assert outbox.take() == b"bye"
            assert not await outbox.behind()
            outbox.put("result", b"too late")

    asyncio.run(scene())
