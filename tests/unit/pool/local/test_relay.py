"""What goes into a relay comes out of it, both ways, to the last byte and the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from libra_pool_mgm.clouds.local.relay import Relay, listen, serve_until
from tests.support.ports import free_port

HOST = "127.0.0.1"
SECONDS = 60


async def relayed(
    port: int,
    client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]],
) -> bytes:
    """Have a client speak through a relay to `port`; gives what it says."""
    listener = listen(HOST, 0)
    inner = listener.getsockname()[1]
    over = asyncio.Event()
    relay = Relay(listener=listener, host=HOST, port=port)
    running = asyncio.create_task(serve_until([relay], over))
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(HOST, inner)
            try:
                return await client(reader, writer)
            finally:
                writer.close()
    finally:
        over.set()
        await running


def test_every_byte_comes_through_and_an_end_in_one_direction_leaves_the_other() -> None:
    # Given a server that reads to the end before it answers, and more than any buffer holds
    sent = os.urandom(3_000_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(-1))[::-1])
        writer.close()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(sent)
        writer.write_eof()
        return await reader.read(-1)

    async def both() -> bytes:
        async with await asyncio.start_server(serve, HOST, 0) as server:
            return await relayed(server.sockets[0].getsockname()[1], speak)

    # Then both directions are whole
    assert asyncio.run(both()) == sent[::-1]


def test_where_nobody_listens_the_connection_is_closed() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return await reader.read(-1)

    assert asyncio.run(relayed(free_port(), speak)) == b""
