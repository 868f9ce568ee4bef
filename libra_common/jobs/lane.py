"""One thread that keeps one slot registered at one server, through every loss of it."""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gearman.job import GearmanJob

from libra_common.jobs.backoff import delay
from libra_common.jobs.job import INTERNAL_ERROR, Job
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

    handler: Callable[[Job], bytes]
    on_oversize: Callable[[int], bytes]
    on_failure: Callable[[Job, Exception], bytes]
    message_limit: int


class Lane(threading.Thread):
    """Connects, serves and connects again, until `stop` is set.

    `open_session` makes an unconnected session out of this lane's two callbacks (serve a job,
    note the registration). `on_busy` is told when a job begins. `clock` is monotonic seconds,
    `chance` gives a number from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        *,
        server: GearmanServer,
        slot: int,
        name: str,
        answering: Answering,
        open_session: Callable[[Lane], Session],
        stop: threading.Event,
        on_busy: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float],
    ) -> None:
        # A daemon thread: a handler that hangs must not keep a second SIGTERM from ending us.
        super().__init__(name=f"{name}@{server}", daemon=True)
        self.server = server
        self.slot = slot
        self._answering = answering
        self._open_session = open_session
        self._stop_asked = stop
        self._on_busy = on_busy
        self._clock = clock
        self._chance = chance
        self._status = LaneStatus(server, slot, LaneState.CONNECTING, clock(), None, 0, 0, None)

    @property
    def status(self) -> LaneStatus:
        """The lane at this moment."""
        return self._status

    @property
    def may_hold_job(self) -> bool:
        """Whether a connection is open, so that a stop has to wait for it."""
        return self.is_alive() and self._status.state in CONNECTED

    def run(self) -> None:
        """Live; `start` calls this in the lane's thread."""
        failures = 0
        try:
            while not self._stop_asked.is_set():
                settled = self._connect_and_serve()
                failures = 0 if settled else failures + 1
                if not self._stop_asked.is_set():
                    self._enter(LaneState.AWAY)
                    self._stop_asked.wait(delay(max(0, failures - 1), self._chance()))
        finally:
            self._enter(LaneState.ENDED)

    def _connect_and_serve(self) -> bool:
        """Live through one connection; say whether it served long enough to be called good."""
        self._enter(LaneState.CONNECTING)
        session = self._open_session(self)
        began: float | None = None
        try:
            session.connect()
            began = self._clock()
            # Before the session looks at the stop: a stop that misses it sees this state and waits.
            self._enter(LaneState.OPEN)
            session.run()
        except Exception as error:  # noqa: BLE001 - whatever a server sent, the lane lives on
            self._lost(error)
        finally:
            session.close()
        return began is not None and self._clock() - began >= _SETTLED

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

    def serve(self, raw: GearmanJob) -> bytes:
        """Answer one job; never raises."""
        before = self._status.state
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
            return self._answer(job, raw.data.size if isinstance(raw.data, Cut) else len(raw.data))
        finally:
            self._change(job=None, served=self._status.served + 1)
            self._enter(before)

    def _answer(self, job: Job, size: int) -> bytes:
        answering = self._answering
        try:
            if size > answering.message_limit:
                _log.warning("job %s is %d bytes long and refused", job.handle, size)
                return _checked(answering.on_oversize(size))
            return _checked(answering.handler(job))
        except Exception as error:  # noqa: BLE001 - logged and answered, whatever it is
            return self._failure(job, error)
        except SystemExit as error:  # it would end this thread in silence; the caller waits
            return self._failure(job, RuntimeError(f"the handler tried to exit: {error}"))

    def _failure(self, job: Job, error: Exception) -> bytes:
        _log.error("the handler of job %s failed", job.handle, exc_info=error)
        try:
            return _checked(self._answering.on_failure(job, error))
        except Exception:  # noqa: BLE001 - the caller waits for an answer
            _log.exception("answering for the failed job %s failed too", job.handle)
            return INTERNAL_ERROR

    # Only this thread writes the status, and replaces it whole: readers need no lock.

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
