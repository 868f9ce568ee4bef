"""From an HTTP request to a handler and back: who asks, what, how much, and how long.

Handlers run in threads, reads apart from changes, so that neither waits for the other; the event
loop itself only moves bytes. Every answer and every error is JSON, but for the texts of files.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from libra_amphora import fence as fences
from libra_amphora import tls
from libra_amphora.api.base import Answer, Call, Json, Raw, Refused, Route
from libra_amphora.errors import TransitionInProgress
from libra_amphora.fence import Fence, OlderFence
from libra_amphora.gate import Gate
from libra_amphora.http import web
from libra_amphora.router import Found, NoSuchMethod, Router
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

ANSWER_SECONDS = 9.0
"""What takes longer is answered before it is done."""

_UNKNOWN_BODY = 64 * 1024
_READERS, _WRITERS = 8, 16


class App:
    """Answers requests by `routes`; `fence` keeps controllers out whose time is over.

    `allowed` are the names of certificates that may call, none meaning all; `read_seconds` is how
    long a caller may take to send its request.
    """

    def __init__(
        self,
        *,
        routes: Iterable[Route],
        gate: Gate,
        fence: Fence,
        allowed: Iterable[str] = (),
        read_seconds: float = 180.0,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._router = Router(routes)
        self._gate = gate
        self._fence = fence
        self._allowed = frozenset(allowed)
        self._read_seconds = read_seconds
        self._answer_seconds = answer_seconds
        self._readers = ThreadPoolExecutor(_READERS, "read")
        self._writers = ThreadPoolExecutor(_WRITERS, "change")

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._readers.shutdown(wait=False)
        self._writers.shutdown(wait=False)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; raises nothing but what ends the connection."""
        began = time.monotonic()
        caller = "?"
        try:
            caller = self._caller(request)
            found = self._router.find(request.method, request.raw_path)
            answer = await self._handled(request, found, caller)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is answered
            answer = _error(error)
        response = _response(answer)
        if self._fence.highest is not None:
            response.headers[fences.HEADER] = str(self._fence.highest)
        if request.body_exists and not request.content.is_eof():
            # What was not read would be taken for the next request.
            response.force_close()
        LOG.info(
            "%s %s from %s: %d in %.0f ms",
            request.method,
            request.raw_path[:256],
            caller,
            answer.status,
            (time.monotonic() - began) * 1000,
        )
        return response

    def _caller(self, request: web.BaseRequest) -> str:
        """Who asks. Raises Refused for a certificate that may not."""
        if request.transport is None or request.transport.get_extra_info("sslcontext") is None:
            return "this node"
        names = list(tls.names(request.transport.get_extra_info("peercert") or {}))
        name = names[0] if names else "a certificate without a name"
        if self._allowed and not self._allowed.intersection(names):
            raise Refused(401, "Unauthorized", f"{name} may not call this node")
        return name

    async def _handled(self, request: web.BaseRequest, found: Found, caller: str) -> Answer:
        route = found.route
        if route.guarded and self._gate.moving:
            raise TransitionInProgress
        sent = _sent_fence(request)
        data = await self._body(request, route) if request.body_exists else b""
        call = Call(
            version=found.version,
            params=found.params,
            body=route.body.read(data) if route.body else None,
            caller=caller,
        )
        if route.fast:
            return route.handler(call)
        if route.quick is not None and (answer := route.quick(call)) is not None:
            return answer
        sent = None if route.method == "GET" else sent
        pool = self._readers if route.method == "GET" else self._writers
        return await self._in_time(
            asyncio.get_running_loop().run_in_executor(pool, self._fenced, route, call, sent), route
        )

    async def _body(self, request: web.BaseRequest, route: Route) -> bytes:
        async with asyncio.timeout(self._read_seconds):
            return await _body(request, route)

    def _fenced(self, route: Route, call: Call, sent: int | None) -> Answer:
        if sent is None:
            return self._run(route, call)
        with self._fence.passed(sent):
            return self._run(route, call)

    def _run(self, route: Route, call: Call) -> Answer:
        if not route.guarded:
            return route.handler(call)
        with self._gate.change():
            return route.handler(call)

    async def _in_time(self, work: asyncio.Future[Answer], route: Route) -> Answer:
        done, _ = await asyncio.wait({work}, timeout=self._answer_seconds)
        if done:
            return work.result()
        work.add_done_callback(_log_late)
        if route.late is not None:
            return route.late
        raise Refused(500, "Not finished in time", "it goes on; ask again what came of it")


def _sent_fence(request: web.BaseRequest) -> int | None:
    """The number that the caller sends along. Raises Refused."""
    text = request.headers.get(fences.HEADER)
    try:
        return None if text is None else fences.number(text)
    except ValueError as error:
        raise Refused(400, "Invalid request", str(error)) from None


async def _body(request: web.BaseRequest, route: Route) -> bytes:
    """The body, at most as much as the route takes. Raises Refused."""
    limit = route.body.limit if isinstance(route.body, Raw | Json) else _UNKNOWN_BODY
    too_much = Refused(413, "Request Entity Too Large", f"at most {limit} bytes are taken")
    if (request.content_length or 0) > limit:
        raise too_much
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise too_much
    return bytes(data)


def _error(error: Exception) -> Answer:
    match error:
        case NoSuchMethod():
            return Answer(error.status, error.body, {"Allow": error.allowed})
        case Refused():
            return Answer(error.status, error.body)
        case TransitionInProgress():
            return Answer(503, {"message": str(error)})
        case OlderFence():
            return Answer(409, {"message": "Older fence", "details": str(error)})
        case TimeoutError():
            return Answer(408, {"message": "Request Timeout"})
        case web.RequestPayloadError():
            return Answer(400, {"message": "Invalid request", "details": "the body is broken"})
        case LibraError():
            LOG.error("request failed: %s", error)
            return Answer(500, {"message": "Internal Server Error", "details": str(error)})
        case _:
            LOG.error("request failed", exc_info=error)
            return Answer(500, {"message": "Internal Server Error"})


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str | bytes):
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        kind = "text/plain"
    else:
        body, kind = json.dumps(answer.body).encode(), "application/json"
    return web.Response(
        body=body, status=answer.status, headers=dict(answer.headers), content_type=kind
    )


def _log_late(work: asyncio.Future[Answer]) -> None:
    if not work.cancelled() and work.exception() is not None:
        LOG.error("what was answered before it was done has failed: %s", work.exception())
