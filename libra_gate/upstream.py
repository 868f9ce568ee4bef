"""The connections to gearmand, and which gearmand they go to.

All connections of a gate go to one gearmand, and stay with it for as long as it answers: were they
spread, a job could wait at one server for a worker that is registered at another. When it answers
no more, the next one that does takes its place, in the order of the settings, and what is still
connected to the old one is ended; clients and workers then connect again by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from libra_common.keepalive import OPTIONS
from libra_common.settings.values import HostPort
from libra_gate.counters import Counters

LOG = logging.getLogger(__name__)

_CONNECT = 3.0
"""Seconds for a connection to a gearmand."""
_ANSWER = 3.0
"""Seconds for its answer to a question."""
_FLUSH = 5.0
"""Seconds in which it takes what was sent before the connection's end."""
_MISSED = 2
"""Questions in a row that an idle look may leave unanswered before another takes its place."""


class NoGearmand(Exception):
    """No gearmand can be reached; the text says why."""


class Client(Protocol):
    """Whom a connection to gearmand is for."""

    def from_server(self, data: bytes) -> None:
        """Take what gearmand said."""

    def server_lost(self) -> None:
        """Hear that it has hung up."""

    def server_full(self) -> None:
        """Hear that it takes no more for now."""

    def server_ready(self) -> None:
        """Hear that it takes more again."""


class Upstream(asyncio.Protocol):
    """A connection to the gearmand `server`, for one client."""

    def __init__(self, client: Client, server: HostPort) -> None:
        self.server = server
        self._client: Client | None = client
        self._transport: asyncio.Transport | None = None

    def send(self, data: bytes) -> None:
        """Send to gearmand."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what is still to be sent, and hang up; the client hears nothing of it."""
        self._client = None
        if self._transport is not None:
            self._transport.close()
            if self._transport.get_write_buffer_size():
                # One that is frozen would never take it, and the connection never end.
                asyncio.get_running_loop().call_later(_FLUSH, self._transport.abort)

    def pause(self) -> None:
        """Read no more from it."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from it again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to send."""
        self._transport = cast("asyncio.Transport", transport)
        set_options(self._transport)

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if self._client is not None:
            self._client.from_server(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was
        """Tell the client, unless it hung up itself."""
        if self._client is not None:
            self._client.server_lost()

    def pause_writing(self) -> None:
        """Tell the client that no more is taken."""
        if self._client is not None:
            self._client.server_full()

    def resume_writing(self) -> None:
        """Tell the client that more is taken again."""
        if self._client is not None:
            self._client.server_ready()


class Gearmands:
    """The gearmands behind a gate; `on_change` is told when another takes the place of one."""

    def __init__(
        self,
        *,
        servers: Sequence[HostPort],
        counters: Counters,
        on_change: Callable[[HostPort], None],
    ) -> None:
        self.servers = tuple(servers)
        self.active = self.servers[0]
        """Where connections go."""
        self.answers = False
        """Whether it answered when it was last asked."""
        self._counters = counters
        self._on_change = on_change
        self._choosing = asyncio.Lock()
        self._missed = 0

    async def reach(self, client: Client) -> Upstream:
        """Connect for a client. Raises NoGearmand."""
        with contextlib.suppress(OSError, TimeoutError):
            return await self._connect(client)
        self._counters.server_failures += 1
        await self._choose()
        try:
            return await self._connect(client)
        except (OSError, TimeoutError) as reason:
            raise NoGearmand(f"{self.active}: {reason or 'it does not answer'}") from None

    async def look(self) -> None:
        """See whether the active one still answers; called now and then."""
        if await _answers(self.active):
            self._missed = 0
            self._note(answers=True)
            return
        self._missed += 1
        if self._missed >= _MISSED or not self.answers:
            await self._choose()

    async def _choose(self) -> None:
        """Make the first one that answers, beginning with the active one, the active one."""
        async with self._choosing:
            first = self.servers.index(self.active)
            for server in (*self.servers[first:], *self.servers[:first]):
                if not await _answers(server):
                    continue
                self._missed = 0
                if server != self.active:
                    LOG.warning("gearmand %s takes the place of %s", server, self.active)
                    self._counters.failovers += 1
                    self.active = server
                    self._on_change(server)
                self._note(answers=True)
                return
            self._note(answers=False)

    def _note(self, *, answers: bool) -> None:
        if answers != self.answers:
            if answers:
                LOG.info("gearmand %s answers", self.active)
            else:
                LOG.error("no gearmand answers: %s", ", ".join(map(str, self.servers)))
        self.answers = answers

    async def _connect(self, client: Client) -> Upstream:
        server = self.active
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT):
            _, made = await loop.create_connection(
                lambda: Upstream(client, server), server.host, server.port
            )
        return made


async def _answers(server: HostPort) -> bool:
    """Whether a gearmand says its version."""
    try:
        async with asyncio.timeout(_ANSWER):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            try:
                writer.write(b"version\n")
                return (await reader.readline()).startswith(b"OK ")
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


def set_options(transport: asyncio.Transport) -> None:
    """Notice a peer that vanished, and wait for nobody's acknowledgement with a small packet."""
    opened = transport.get_extra_info("socket")
    for level, option, value in OPTIONS:
        with contextlib.suppress(OSError):  # it may be gone already
            opened.setsockopt(level, option, value)
