"""Many questions at once: hundreds of jobs on one connection, each answered or not in time."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing

from gearman import protocol
from gearman.errors import GearmanError

from libra_common.jobs.client import ANSWER_LIMIT
from libra_common.jobs.dial import CONNECT_TIMEOUT
from libra_common.jobs.errors import ConnectionLost, JobError, JobFailed, JobTimeout, NoServer
from libra_common.jobs.exchange import Exchange, refusal
from libra_common.jobs.servers import GearmanServer, TlsFiles
from libra_common.jobs.wire import Connection

_ENDINGS = {
    protocol.GEARMAN_COMMAND_WORK_COMPLETE,
    protocol.GEARMAN_COMMAND_WORK_FAIL,
    protocol.GEARMAN_COMMAND_WORK_EXCEPTION,
}


def ask_many(
    server: GearmanServer,
    questions: Sequence[tuple[str, bytes]],
    *,
    tls: TlsFiles | None = None,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
) -> list[bytes | JobError]:
    """Submit a job for each question (function, data) and give the answers in their order.

    All wait together, `timeout` seconds at most; what is not answered then is a JobTimeout in its
    place, and its job is dropped by the server if it is queued still. Raises NoServer where the
    server cannot be reached.
    """
    deadline = clock() + timeout
    try:
        exchange = Exchange(
            connection=Connection(
                server=server,
                tls=tls,
                message_limit=ANSWER_LIMIT,
                connect_timeout=min(CONNECT_TIMEOUT, timeout),
            ),
            clock=clock,
        )
    except (GearmanError, OSError) as error:
        raise NoServer(f"gearman server {server}: {error}") from error
    with closing(exchange):
        return _Asking(exchange, questions).answers(server, deadline, timeout)


class _Asking:
    """The questions of one connection, and what came back so far."""

    def __init__(self, exchange: Exchange, questions: Sequence[tuple[str, bytes]]) -> None:
        self._exchange = exchange
        self._questions = questions
        self._answers: list[bytes | JobError | None] = [None] * len(questions)
        self._accepted = 0
        self._by_handle: dict[bytes, int] = {}

    def answers(
        self, server: GearmanServer, deadline: float, timeout: float
    ) -> list[bytes | JobError]:
        for function, data in self._questions:
            self._exchange.send(
                protocol.GEARMAN_COMMAND_SUBMIT_JOB,
                task=function.encode("utf-8", "surrogateescape"),
                unique=uuid.uuid4().hex.encode(),
                data=data,
            )
        missing: JobError = JobTimeout(f"no answer within {timeout:g} s")
        try:
            while None in self._answers:
                self._take(*self._exchange.receive(deadline))
        except TimeoutError:
            pass
        except GearmanError as error:
            missing = ConnectionLost(f"gearman server {server} was lost: {error}")
        return [missing if answer is None else answer for answer in self._answers]

    def _take(self, kind: int, fields: dict[str, bytes]) -> None:
        if kind == protocol.GEARMAN_COMMAND_JOB_CREATED:
            # A server takes the packets of a connection in their order.
            self._by_handle[fields["job_handle"]] = self._accepted
            self._accepted += 1
        elif kind == protocol.GEARMAN_COMMAND_ERROR:
            self._answers[self._accepted] = refusal(fields)
            self._accepted += 1
        elif kind in _ENDINGS:
            place = self._by_handle.get(fields["job_handle"].rstrip(b"\0"))
            if place is not None and self._answers[place] is None:
                complete = kind == protocol.GEARMAN_COMMAND_WORK_COMPLETE
                self._answers[place] = fields["data"] if complete else JobFailed("the job failed")
