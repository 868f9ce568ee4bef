"""Submitting one job and waiting for its answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gearman import protocol
from gearman.errors import GearmanError

from libra_common.jobs.dial import CONNECT_TIMEOUT
from libra_common.jobs.errors import BadJob, ConnectionLost, JobFailed, JobTimeout, NoServer
from libra_common.jobs.exchange import Exchange, refusal
from libra_common.jobs.kept import Kept
from libra_common.jobs.servers import GearmanServer, TlsFiles
from libra_common.jobs.wire import Connection

ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest answer taken."""

_FUNCTION_LIMIT = 511  # bytes, gearmand's own limits
_UNIQUE_LIMIT = 63

_PROGRESS = (
    protocol.GEARMAN_COMMAND_WORK_STATUS,
    protocol.GEARMAN_COMMAND_WORK_DATA,
    protocol.GEARMAN_COMMAND_WORK_WARNING,
)


@dataclass(frozen=True, slots=True)
class _Submission:
    """The command that submits a job."""

    kind: int
    task: bytes
    unique: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class _Placed:
    """A job that a server accepted, and the connection on which its answer will come."""

    server: GearmanServer
    exchange: Exchange
    handle: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClient:
    """Submits jobs; safe to share between threads, for every call has a connection to itself.

    With `kept` later calls use it again, for as long as that keeps it.

    Servers are tried in their order until one accepts the job; one that does not connect, or
    lets `connect_timeout` seconds pass without a byte moving, is left for the next. That a server
    accepted a job does not mean that a worker is there: the job then waits in its queue. A server
    lost at the moment of accepting may have handed the job out already, so it can run twice.
    """

    servers: Sequence[GearmanServer]
    tls: TlsFiles | None = None
    connect_timeout: float = CONNECT_TIMEOUT
    answer_limit: int = ANSWER_LIMIT
    clock: Callable[[], float] = time.monotonic
    kept: Kept | None = None

    def submit(
        self, function: str, data: bytes, *, timeout: float, unique: str | None = None
    ) -> bytes:
        """Have `function` do a job in the foreground and return its answer.

        `timeout` is in seconds, over everything. Jobs of one function with the same `unique` that
        wait at one server become one job; without it each is its own. Raises BadJob, NoServer,
        JobTimeout, JobFailed or ConnectionLost.
        """
        deadline = self.clock() + timeout
        placed = self._place(protocol.GEARMAN_COMMAND_SUBMIT_JOB, function, data, unique, deadline)
        answer: bytes | None = None
        try:
            answer = _answer(placed, deadline)
        except TimeoutError:
            raise JobTimeout(
                f"no answer from {function!r} within {timeout:g} s (gearman server {placed.server})"
            ) from None
        except GearmanError as error:
            raise ConnectionLost(
                f"gearman server {placed.server} was lost while {function!r} worked: {error}"
            ) from error
        finally:
            # Something may still come after a failure: only what went well can be used again.
            self._put_away(placed, sound=answer is not None)
        return answer

    def background(
        self, function: str, data: bytes, unique: str | None = None, *, timeout: float = 10.0
    ) -> str:
        """Leave a job to be done later and return the server's handle for it.

        `timeout` is in seconds, for the acceptance. Raises BadJob or NoServer.
        """
        placed = self._place(
            protocol.GEARMAN_COMMAND_SUBMIT_JOB_BG, function, data, unique, self.clock() + timeout
        )
        self._put_away(placed, sound=True)
        return placed.handle.decode("utf-8", "replace")

    def _place(
        self, kind: int, function: str, data: bytes, unique: str | None, deadline: float
    ) -> _Placed:
        """Bring the job to the first server that accepts it."""
        task = _field("function", function, _FUNCTION_LIMIT)
        key = _field("unique", unique or uuid.uuid4().hex, _UNIQUE_LIMIT)
        submission = _Submission(kind, task, key, data)
        reasons = []
        for server in self.servers:
            kept = None if self.kept is None else self.kept.take(server)
            if kept is not None:
                # What it fails of was the time that it was kept: a new one will tell.
                with suppress(TimeoutError, GearmanError, JobFailed):
                    return self._submitted(server, kept, submission, deadline)
            try:
                exchange = self._open(server, deadline)
                return self._submitted(server, exchange, submission, deadline)
            except (GearmanError, OSError, JobFailed) as error:
                reasons.append(f"{server}: {str(error) or 'it does not answer'}")
        raise NoServer("no gearman server took the job: " + ("; ".join(reasons) or "none is set"))

    def _submitted(
        self, server: GearmanServer, exchange: Exchange, submission: _Submission, deadline: float
    ) -> _Placed:
        """Have a connection's server take the job; closes the connection where it does not."""
        try:
            task, unique, data = submission.task, submission.unique, submission.data
            exchange.send(submission.kind, task=task, unique=unique, data=data)
            handle = _accepted(exchange, deadline, self.connect_timeout)
        except BaseException:
            exchange.close()
            raise
        return _Placed(server, exchange, handle)

    def _put_away(self, placed: _Placed, *, sound: bool) -> None:
        if self.kept is not None and sound:
            self.kept.give(placed.server, placed.exchange)
        else:
            placed.exchange.close()

    def _open(self, server: GearmanServer, deadline: float) -> Exchange:
        left = deadline - self.clock()
        if left <= 0:
            raise TimeoutError("no time left to try it")
        connection = Connection(
            server=server,
            tls=self.tls,
            message_limit=self.answer_limit,
            connect_timeout=min(self.connect_timeout, left),
        )
        return Exchange(connection=connection, clock=self.clock)


def _accepted(exchange: Exchange, deadline: float, stall: float) -> bytes:
    while True:
        kind, fields = exchange.receive(deadline, stall=stall)
        if kind == protocol.GEARMAN_COMMAND_JOB_CREATED:
            return bytes(fields["job_handle"])
        _refuse_error(kind, fields)


def _answer(placed: _Placed, deadline: float) -> bytes:
    while True:
        kind, fields = placed.exchange.receive(deadline)
        _refuse_error(kind, fields)
        # gearmand 1.1.20 ends this field with a NUL when it turns an exception into a failure.
        handle = fields.get("job_handle", b"").rstrip(b"\0")
        if handle != placed.handle or kind in _PROGRESS:
            continue
        if kind == protocol.GEARMAN_COMMAND_WORK_COMPLETE:
            return bytes(fields["data"])
        if kind == protocol.GEARMAN_COMMAND_WORK_FAIL:
            raise JobFailed("the job failed: it was cancelled, or its worker gave it up")
        if kind == protocol.GEARMAN_COMMAND_WORK_EXCEPTION:
            # Final for us: some servers send no failure after it, and waiting would be for ever.
            text = fields["data"][:500].decode("utf-8", "replace")
            raise JobFailed(f"the job failed with an exception: {text}")


def _refuse_error(kind: int, fields: dict[str, bytes]) -> None:
    if kind == protocol.GEARMAN_COMMAND_ERROR:
        raise refusal(fields)


def _field(what: str, text: str, limit: int) -> bytes:
    field = text.encode("utf-8", "surrogateescape")
    if not field or b"\0" in field or len(field) > limit:
        raise BadJob(f"{what} {text[:80]!r} is empty, has a NUL in it or is over {limit} bytes")
    return field
