"""Carries connections from a device to gearmand, byte by byte. Standard library only.

The listening sockets were opened inside the device; what they take is connected from here, which
is outside. Nothing is looked into. A worker's connection lives as long as both ends do: the ends
watch each other by gearman's own means, and keepalive finds a host that has vanished.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence

_CONNECT_SECONDS = 5.0
_CHUNK = 1 << 16
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


class Relay:
    """Connects whoever comes to one listening socket with `host`:`port`."""

    def __init__(self, *, listener: socket.socket, host: str, port: int) -> None:
        self._listener = listener
        self._host = host
        self._port = port

    async def start(self) -> asyncio.Server:
        """Take connections until the returned server is closed."""
        return await asyncio.start_server(self._serve, sock=self._listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                back_reader, back_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:  # of which TimeoutError is one: the worker is told by the closed connection
            writer.close()
            return
        writers = (writer, back_writer)
        for one in writers:
            _keep_alive(one)
        try:
            await asyncio.gather(_carry(reader, back_writer), _carry(back_reader, writer))
        except OSError:
            pass
        finally:
            for one in writers:
                one.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and its end."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    for level, option, value in _KEEPALIVE:
        connection.setsockopt(level, option, value)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket in the calling thread's network namespace."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


async def serve_until(relays: Sequence[Relay], over: asyncio.Event) -> None:
    """Run relays until `over` is set."""
    servers = [await relay.start() for relay in relays]
    await over.wait()
    for server in servers:
        server.close()
