"""The API's listeners: HTTPS for controllers, a unix socket for callers on the node.

An event loop in a thread of its own. A caller that is silent in its handshake, or after it, holds
nothing but its socket, and that not for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from libra_amphora.errors import AmphoraError
from libra_amphora.http import RequestHandler, web

LOG = logging.getLogger(__name__)

_BACKLOG = 1024
_IDLE_SECONDS = 75.0
_LINE_BYTES = 8190
_START_SECONDS = 10.0

T = TypeVar("T")
Answerer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class CannotListen(AmphoraError):
    """The API's address cannot be listened on; names it and the reason."""

    code = "port_taken"


class _Connection(RequestHandler):
    """One connection; it is closed when no request has come by the time it should have."""

    def __init__(self, manager: web.Server, **more: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **more)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(_IDLE_SECONDS, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait no longer."""
        self.heard()
        super().connection_lost(exc)

    def heard(self) -> None:
        """A request has come; what follows is for HTTP's own keep-alive to bound."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered by JSON too."""
        text = "Invalid request" if status < 500 else "Internal Server Error"
        LOG.info("request that is no HTTP: %s", message or exc)
        response = web.Response(
            body=json.dumps({"message": text}).encode(),
            status=status,
            content_type="application/json",
        )
        response.force_close()
        return response


class _Server(web.Server):
    """Makes our connections."""

    def __call__(self) -> RequestHandler:
        """A connection that has just come."""
        return _Connection(
            self,
            keepalive_timeout=_IDLE_SECONDS,
            access_log=None,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )


class ApiServer:
    """Serves `answer` at `host` and `port`, and at a unix socket that only its owner may use."""

    def __init__(
        self,
        *,
        answer: Answerer,
        context: ssl.SSLContext,
        host: str,
        port: int,
        socket_path: Path,
        handshake_seconds: float,
    ) -> None:
        self._answer = answer
        self._context = context
        self._host = host
        self._port = port
        self._socket_path = socket_path
        self._handshake_seconds = handshake_seconds
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._loop.set_exception_handler(_on_loop_error)
        self._thread = threading.Thread(target=self._loop.run_forever, name="api", daemon=True)
        self._listeners: list[asyncio.Server] = []
        self._http: _Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._listeners[0].sockets[0].getsockname()[1]
        return port

    def start(self) -> None:
        """Listen from now on. Raises CannotListen."""
        self._thread.start()
        try:
            self.in_loop(self._listen())
        except OSError as error:
            self.stop(0.0)
            raise CannotListen(f"cannot listen on [{self._host}]:{self._port}: {error}") from error

    def in_loop(self, work: Any) -> Any:
        """Run a coroutine where requests are served, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    def stop(self, seconds: float) -> None:
        """Take no new connections; requests that run get `seconds` to be answered."""
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._leave(seconds), self._loop).result(seconds + 5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _listen(self) -> None:
        self._http = _Server(self._heard)
        self._listeners.append(
            await self._loop.create_server(
                self._http,
                sock=_bound(self._host, self._port),
                ssl=self._context,
                backlog=_BACKLOG,
                ssl_handshake_timeout=self._handshake_seconds,
                ssl_shutdown_timeout=2.0,
            )
        )
        self._socket_path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._listeners.append(
                await self._loop.create_unix_server(self._http, str(self._socket_path))
            )
        finally:
            os.umask(mask)

    async def _heard(self, request: web.BaseRequest) -> web.StreamResponse:
        protocol = request.protocol
        if isinstance(protocol, _Connection):
            protocol.heard()
        return await self._answer(request)

    async def _leave(self, seconds: float) -> None:
        for listener in self._listeners:
            listener.close()
        self._socket_path.unlink(missing_ok=True)
        if self._http is not None:
            await self._http.shutdown(seconds)


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket; :: is IPv4 too. Raises OSError."""
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - every address is what was asked for
    six = ":" in host
    return socket.create_server(
        (host, port),
        family=socket.AF_INET6 if six else socket.AF_INET,
        backlog=_BACKLOG,
        dualstack_ipv6=host == "::",
    )


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    """Handshakes that fail are the callers' business; anything else is ours."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError | ssl.SSLError) else logging.ERROR
    LOG.log(level, "%s: %s", context.get("message"), error)
