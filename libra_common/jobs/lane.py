"""One slot at one server: registered again after every loss, and what its job is answered."""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gearman.job import GearmanJob

from libra_common.jobs.backoff import delay
from libra_common.jobs.job import INTERNAL_ERROR, Handler, Job
from libra_common.jobs.servers import GearmanServer
from libra_common.jobs.session import Session
from libra_common.jobs.wire import Cut

_log = logging.getLogger(__name__)

_SETTLED = 10.0
"""Seconds a connection must have served before its loss counts as the first of a row."""


class LaneState(enum.Enum):
    """Where a lane is; only `OPEN`, `IDLE` and `BUSY` have a connection that could hold a job."""

    CONNECTING = "connecting"
    OPEN = "open"
    IDLE = "idle"
    BUSY = "busy"
    AWAY = "away"
    ENDED = "ended"


CONNECTED = (LaneState.OPEN, LaneState.IDLE, LaneState.BUSY)
"""The states with a connection."""

REGISTERED = (LaneState.IDLE, LaneState.BUSY)
"""The states in which the server has shown that it knows the slot."""


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A lane at one moment. `since` is monotonic seconds, `losses` counts failed connections."""

    server: GearmanServer
    slot: int
    state: LaneState
    since: float
    job: str | None
    served: int
    losses: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What turns a job into an answer, and what answers for it when it cannot."""

    handler: Handler
    on_oversize: Callable[[int], bytes]
    on_failure: Callable[[Job, Exception], bytes]
    message_limit: int


class Lane:
    """Connects, serves and connects again, until `stop` is set; its carrier gives it the turns.

    `open_session` makes an unconnected session out of this lane's callbacks (serve a job, give
    its late answer, note the registration). `on_busy` is told when a job begins, `wake` when a
    late answer is there: it may be called from any thread and has the lane given a turn. `clock`
    is monotonic seconds, `chance` gives a number from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        *,
        server: GearmanServer,
        slot: int,
        answering: Answering,
        open_session: Callable[[Lane], Session],
        stop: threading.Event,
        on_busy: Callable[[], None],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float],
    ) -> None:
        self.server = server
        self.slot = slot
        self._answering = answering
        self._open_session = open_session
        self._stop_asked = stop
        self._on_busy = on_busy
        self.wake = wake
        self._clock = clock
        self._chance = chance
        self._session: Session | None = None
        self._late: tuple[Job, Future[bytes]] | None = None
        self._failures = 0
        self._connected_at: float | None = None
        self._next_attempt = clock()
        self._status = LaneStatus(server, slot, LaneState.CONNECTING, clock(), None, 0, 0, None)

    @property
    def status(self) -> LaneStatus:
        """The lane at this moment."""
        return self._status

    @property
    def may_hold_job(self) -> bool:
        """Whether a connection is open, so that a stop has to wait for it."""
        return self._status.state in CONNECTED

    @property
    def ended(self) -> bool:
        """Whether it will never want a turn again."""
        return self._status.state is LaneState.ENDED

    # What its carrier calls

    @property
    def session(self) -> Session | None:
        """The session whose connection is to be polled."""
        return self._session

    def wait(self) -> float:
        """Seconds after which a turn is due even though nothing came."""
        if self._session is None:
            return max(0.0, self._next_attempt - self._clock())
        if self._late is not None and self._late[1].done():
            return 0.0
        return self._session.wait()

    def turn(self, *, readable: bool) -> None:
        """Go on; waits for nothing but a connection, and for a handler that does."""
        try:
            if self._session is not None:
                self._session.turn(readable=readable)
            elif self._stop_asked.is_set():
                self._enter(LaneState.ENDED)
                return
            elif self.wait() <= 0:
                self._connect()
            if self._session is not None and self._session.finished():
                self.end()
        except Exception as error:  # noqa: BLE001 - whatever a server sent, the lane lives on
            self._lost(error)
            self._back_off()

    def end(self) -> None:
        """Let go of the connection for good."""
        self._disconnect()
        self._enter(LaneState.ENDED)

    def _connect(self) -> None:
        self._enter(LaneState.CONNECTING)
        self._session = self._open_session(self)
        self._session.connect()
        self._connected_at = self._clock()
        # Before the session looks at the stop: a stop that misses it sees this state and waits.
        self._enter(LaneState.OPEN)
        if self._stop_asked.is_set():
            self.end()
        else:
            self._session.register()

    def _disconnect(self) -> None:
        if self._late is not None:
            (job, future), self._late = self._late, None
            _log.warning("job %s lost its connection: nobody will hear its answer", job.handle)
            future.cancel()
            self._change(job=None)
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _back_off(self) -> None:
        """Try again after a while; the longer, the more often it failed without being of use."""
        self._disconnect()
        began, self._connected_at = self._connected_at, None
        settled = began is not None and self._clock() - began >= _SETTLED
        self._failures = 0 if settled else self._failures + 1
        wait = delay(max(0, self._failures - 1), self._chance())
        self._next_attempt = self._clock() + wait
        self._enter(LaneState.AWAY)

    def _lost(self, error: Exception) -> None:
        text = str(error) or repr(error)
        # A server that is away for a day is one line, not one every four seconds.
        news = self._status.last_error is None or self._status.state in REGISTERED
        _log.log(
            logging.WARNING if news else logging.DEBUG,
            "slot %d lost gearman server %s: %s",
            self.slot,
            self.server,
            text,
        )
        self._change(losses=self._status.losses + 1, last_error=text)

    # What a session calls back

    def registered(self) -> None:
        """Note that the server knows the slot."""
        _log.info("slot %d is registered at gearman server %s", self.slot, self.server)
        self._change(last_error=None)
        self._enter(LaneState.IDLE)

    def serve(self, raw: GearmanJob) -> bytes | None:
        """Answer one job, or give None where the answer comes later; never raises."""
        job = Job(
            handle=_text(raw.handle),
            unique=_text(raw.unique),
            function=_text(raw.task),
            data=bytes(raw.data),
            received=self._clock(),
            received_at=datetime.now(UTC),
        )
        self._change(job=job.handle)
        self._enter(LaneState.BUSY)
        try:
            self._on_busy()
            found = self._begin(job, raw.data.size if isinstance(raw.data, Cut) else len(raw.data))
        except Exception as error:  # noqa: BLE001 - logged and answered, whatever it is
            found = self._failure(job, error)
        except SystemExit as error:  # it would end this thread in silence; the caller waits
            found = self._failure(job, RuntimeError(f"the handler tried to exit: {error}"))
        if isinstance(found, bytes):
            self._answered()
            return found
        self._late = (job, found)
        found.add_done_callback(lambda _: self.wake())
        return None

    def answer(self) -> bytes | None:
        """Give the late answer of the job that is served, None while there is none."""
        if self._late is None or not self._late[1].done():
            return None
        (job, future), self._late = self._late, None
        try:
            found = _checked(future.result())
        except Exception as error:  # noqa: BLE001 - a cancelled future's among them
            found = self._failure(job, error)
        self._answered()
        return found

    def _answered(self) -> None:
        self._change(job=None, served=self._status.served + 1)
        self._enter(LaneState.IDLE)

    def _begin(self, job: Job, size: int) -> bytes | Future[bytes]:
        answering = self._answering
        if size > answering.message_limit:
            _log.warning("job %s is %d bytes long and refused", job.handle, size)
            return _checked(answering.on_oversize(size))
        found = answering.handler(job)
        return found if isinstance(found, Future) else _checked(found)

    def _failure(self, job: Job, error: Exception) -> bytes:
        _log.error("the handler of job %s failed", job.handle, exc_info=error)
        try:
            return _checked(self._answering.on_failure(job, error))
        except Exception:  # noqa: BLE001 - the caller waits for an answer
            _log.exception("answering for the failed job %s failed too", job.handle)
            return INTERNAL_ERROR

    # Only the carrier's thread writes the status, and replaces it whole: readers need no lock.

    def _enter(self, state: LaneState) -> None:
        self._change(state=state, since=self._clock())

    def _change(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type]


def _checked(answer: bytes) -> bytes:
    if not isinstance(answer, bytes):
        raise TypeError(f"an answer must be bytes, not {type(answer).__name__}")
    return answer


def _text(field: bytes | None) -> str:
    return (field or b"").decode("utf-8", "replace")
