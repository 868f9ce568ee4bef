"""The gate as a whole: its listeners and its event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from libra_common.errors import LibraError, SettingsError
from libra_common.settings.model import GateSettings
from libra_common.settings.values import HostPort
from libra_gate.connection import Connection
from libra_gate.counters import Counters
from libra_gate.house import House, Limits
from libra_gate.limits import Shares
from libra_gate.tls import server_context
from libra_gate.trust import Trust, read_trust, stamp

LOG = logging.getLogger(__name__)

_BACKLOG = 4096
_CHECK_SECONDS = 1.0
_LOOK_SECONDS = 5.0
_DRAIN_SECONDS = 0.05
_FILES = 64
"""Open files that are no connections."""


class CannotListen(LibraError):
    """An address of [gate] bind cannot be listened on; names it and the reason."""

    code = "port_taken"


def materials(settings: GateSettings) -> tuple[ssl.SSLContext, Trust]:
    """Read certificates and lists, all or nothing. Raises SettingsError, which names the file."""
    missing = [name for name in ("ssl_key", "ssl_cert", "ssl_ca") if not getattr(settings, name)]
    if settings.ssl_key is None or settings.ssl_cert is None or settings.ssl_ca is None:
        raise SettingsError(
            f"[gate] {', '.join(missing)}: must be set, the gate never speaks plain text"
        )
    context = server_context(key=settings.ssl_key, cert=settings.ssl_cert, ca=settings.ssl_ca)
    return context, read_trust(ca=settings.ssl_ca, crl=settings.crl)


class GateServer:
    """Listens, and passes on. `start`, `renew` and `stop` are called from other threads.

    Raises SettingsError for files that cannot be used.
    """

    def __init__(self, settings: GateSettings, *, counters: Counters | None = None) -> None:
        self._settings = settings
        self.counters = counters or Counters()
        self._stamp = stamp([settings.crl])
        context, trust = materials(settings)
        self._house = House(
            context=context,
            trust=trust,
            limits=_limits(settings),
            shares=Shares(
                most=settings.connections_per_name, rate=float(settings.packets_per_second)
            ),
            counters=self.counters,
            servers=settings.gearmand,
        )
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_on_loop_error)
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._listeners: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._beat = time.monotonic()

    @property
    def addresses(self) -> tuple[HostPort, ...]:
        """Where it listens."""
        found = [one.getsockname() for server in self._listeners for one in server.sockets]
        return tuple(HostPort(name[0], name[1]) for name in found)

    @property
    def gearmand(self) -> HostPort | None:
        """The gearmand that connections go to; None while none answers."""
        gearmands = self._house.gearmands
        return gearmands.active if gearmands.answers else None

    @property
    def connections(self) -> int:
        """How many there are."""
        return self._house.connections

    @property
    def silent_for(self) -> float:
        """Seconds since the event loop last came round."""
        return time.monotonic() - self._beat

    def start(self) -> None:
        """Listen from now on. Raises CannotListen."""
        self._thread.start()
        try:
            self._in_loop(self._listen(), 30.0)
        except OSError as error:
            self._loop.call_soon_threadsafe(self._loop.stop)
            raise CannotListen(str(error)) from error

    def renew(self, settings: GateSettings) -> None:
        """Use other certificates, lists and limits from now on. Raises SettingsError.

        Connections stay, but for those whose certificate is not good any more by the new ones.
        """
        # Taken before the files are read: what changes meanwhile is then read again.
        seen = stamp([settings.crl])
        context, trust = materials(settings)

        async def use() -> None:
            house = self._house
            house.context = context
            house.limits = _limits(settings)
            house.shares.most = settings.connections_per_name
            house.shares.rate = float(settings.packets_per_second)
            self._settings = settings
            self._stamp = seen
            house.believe(trust)

        self._in_loop(use(), 30.0)

    def stop(self, seconds: float) -> None:
        """Let nobody in any more, wait for what is under way, at most `seconds`, and leave."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(TimeoutError):
            self._in_loop(self._leave(seconds), seconds + 5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    # In the loop's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _in_loop(self, work: Any, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _listen(self) -> None:
        for bind in self._settings.bind:
            try:
                listener = _bound(bind)
            except OSError as error:
                raise OSError(f"cannot listen on {bind}: {error.strerror or error}") from None
            self._listeners.append(
                await self._loop.create_server(
                    lambda: Connection(self._house), sock=listener, backlog=_BACKLOG
                )
            )
        for seconds, work in ((_CHECK_SECONDS, self._check), (_LOOK_SECONDS, self._look)):
            self._tasks.append(self._loop.create_task(_every(seconds, work)))

    async def _check(self) -> None:
        self._beat = time.monotonic()
        self._house.check()
        crl = self._settings.crl
        found = stamp([crl])
        if crl is not None and found != self._stamp and self._settings.ssl_ca is not None:
            self._stamp = found
            self._read_list()

    def _read_list(self) -> None:
        settings = self._settings
        if settings.ssl_ca is None:
            return
        try:
            trust = read_trust(ca=settings.ssl_ca, crl=settings.crl)
        except SettingsError as error:
            LOG.error("the old list of revoked certificates stays in force: %s", error)
            return
        LOG.info("%d certificates are revoked", sum(map(len, trust.revoked)))
        self._house.believe(trust)

    async def _look(self) -> None:
        await self._house.gearmands.look()

    async def _leave(self, seconds: float) -> None:
        for listener in self._listeners:
            listener.close()
        deadline = time.monotonic() + seconds
        self._house.drain()
        while self._house.busy and time.monotonic() < deadline:
            await asyncio.sleep(_DRAIN_SECONDS)
            self._house.drain()
        for task in self._tasks:
            task.cancel()
        if self._house.busy:
            LOG.warning("%d connections end with an answer under way", self._house.busy)
        # What was said last gets a moment to be read.
        last = time.monotonic() + min(1.0, seconds)
        while self._house.connections and time.monotonic() < last:
            await asyncio.sleep(_DRAIN_SECONDS)
        self._house.abort()
        await asyncio.sleep(0)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            LOG.exception("unexpected error, going on")
        await asyncio.sleep(seconds)


def _limits(settings: GateSettings) -> Limits:
    found = Limits(
        handshake_timeout=settings.handshake_timeout,
        packet_timeout=settings.packet_timeout,
        packet_limit=settings.packet_limit,
        connections=settings.connections,
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * settings.connections + _FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        possible = max(1, (soft - _FILES) // 2)
        LOG.warning(
            "[gate] connections = %d: only %d are possible with %d open files",
            settings.connections,
            possible,
            soft,
        )
        return replace(found, connections=possible)
    return found


def _bound(bind: HostPort) -> socket.socket:
    """A listening socket; :: is IPv4 too. Raises OSError."""
    host = bind.host
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - every address is what was asked for
    family, _, _, _, address = socket.getaddrinfo(
        host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(
        address[:2],
        family=family,
        backlog=_BACKLOG,
        dualstack_ipv6=host == "::",
    )


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    """Sockets that break are the clients' business; anything else is ours."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
    LOG.log(level, "%s", context.get("message"), exc_info=error if level > logging.DEBUG else None)
