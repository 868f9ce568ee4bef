"""Taking jobs from gearman servers and answering every one of them."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libra_common.errors import SettingsError
from libra_common.jobs.carrier import Carrier
from libra_common.jobs.dial import CONNECT_TIMEOUT
from libra_common.jobs.job import Handler, Job, internal_error
from libra_common.jobs.lane import REGISTERED, Answering, Lane, LaneState, LaneStatus
from libra_common.jobs.servers import GearmanServer, TlsFiles
from libra_common.jobs.session import Session
from libra_common.jobs.vigil import Vigil
from libra_common.jobs.watch import Watch
from libra_common.jobs.wire import Connection

_log = logging.getLogger(__name__)

MESSAGE_LIMIT = 4 * 1024 * 1024
"""Bytes of the longest job that reaches the handler; 10,000 nodes are 1.2 MB."""

_SPARE = 2
"""Idle slots to keep at each server where `max_slots` allows more."""

_NAME_LIMIT = 256  # bytes; gearmand takes functions of 512


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker at one moment: each of its lanes, those of one server together."""

    lanes: tuple[LaneStatus, ...]

    @property
    def registered(self) -> tuple[GearmanServer, ...]:
        """The servers that know at least one slot, each once, in the order of the settings."""
        return tuple(dict.fromkeys(lane.server for lane in self.lanes if lane.state in REGISTERED))

    @property
    def busy(self) -> int:
        """How many jobs are being answered."""
        return sum(lane.state is LaneState.BUSY for lane in self.lanes)


class JobWorker:
    """Registers one gearman function and answers its jobs, `slots` at a time and server.

    A slot is one connection to each server, with a thread of its own. With one connection to all
    servers, or one thread for connections of several, a job handed over by the second server would
    wait behind the first one's, unseen by any other worker; this way a busy slot holds nothing
    else, and a job's answer cannot go to another connection than the one that assigned it.

    `name` is the function and, followed by `/<slot>`, the client id that operators see (another
    one with `client_id`). `handler` is called in the slots' threads, several at once, and may be
    called again with a job that it had before (the server reruns a job whose worker died, or
    whose connection was lost, while its first run goes on).
    Whatever it raises is logged and answered by `on_failure`; a job of more than `message_limit`
    bytes is answered by `on_oversize(size)`, unread. All answers are WORK_COMPLETE.

    A handler may also return a future of the answer; the slot stays busy, and its connection is
    kept alive, until that is done. If the connection is lost the future is cancelled: the answer
    cannot be delivered any more, but the server may have the job run again. With `shared_threads`
    a server's slots have one thread together, however many are busy, and the handler must not
    wait for anything: it returns a future.

    With `max_slots` above `slots`, another slot opens at a server whenever fewer than two are
    idle there, so that short jobs do not wait behind long ones; it stays open. Two of the idle
    ones wait for the server's call, the others for one of them to have work.

    A connection silent for `probe_idle` seconds is probed, and given up when nothing comes for
    `probe_patience` seconds. `clock` is monotonic seconds; `chance` gives 0 to 1 for the jitter
    of the back-off.

    Raises SettingsError for a name, a number or a list of servers that cannot work.
    """

    def __init__(
        self,
        *,
        name: str,
        servers: Sequence[GearmanServer],
        slots: int,
        handler: Handler,
        on_oversize: Callable[[int], bytes],
        on_failure: Callable[[Job, Exception], bytes] = internal_error,
        tls: TlsFiles | None = None,
        message_limit: int = MESSAGE_LIMIT,
        max_slots: int | None = None,
        shared_threads: bool = False,
        client_id: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        probe_idle: float = 15.0,
        probe_patience: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = _word("name", name)
        self._client_id = _word("client id", client_id or name)
        self._servers = tuple(dict.fromkeys(servers))
        self._slots = slots
        self._max_slots = slots if max_slots is None else max_slots
        if not self._servers:
            raise SettingsError("a worker needs at least one gearman server")
        if slots < 1 or self._max_slots < slots:
            raise SettingsError(f"slots must be 1 or more and at most {self._max_slots}: {slots}")
        if shared_threads and self._max_slots != slots:
            raise SettingsError("slots that share a thread are all there from the start")
        self._shared_threads = shared_threads
        self._answering = Answering(
            handler=handler,
            on_oversize=on_oversize,
            on_failure=on_failure,
            message_limit=message_limit,
        )
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._probe_idle = probe_idle
        self._probe_patience = probe_patience
        self._clock = clock
        self._chance = chance
        self._stop = threading.Event()
        self._started = False
        self._watches = {server: Watch() for server in self._servers}
        self._growing = threading.Lock()
        self._lanes: tuple[Lane, ...] = ()
        self._carriers: tuple[Carrier, ...] = ()

    def start(self) -> None:
        """Open the slots and return at once; servers that are away are joined when they come.

        Raises RuntimeError when called twice.
        """
        if self._started:
            raise RuntimeError("a worker is started once")
        self._started = True
        slots = range(1, self._slots + 1)
        with self._growing:
            for server in self._servers:
                for group in [slots] if self._shared_threads else [[slot] for slot in slots]:
                    self._add_lanes(server, group)

    def stop(self, timeout: float) -> bool:
        """Take no more jobs, finish the running ones, and deliver their answers.

        Waits at most `timeout` seconds; True when no answer is left undelivered. After False the
        slots go on finishing; call again to wait longer, or leave: the server reruns those jobs.
        A slot that is just connecting holds no job and is not waited for.
        """
        self._stop.set()
        deadline = time.monotonic() + timeout
        with self._growing:
            carriers = self._carriers
        for carrier in carriers:
            carrier.wake()
        for carrier in carriers:
            while carrier.may_hold_job:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                carrier.join(min(left, 0.1))
        return True

    def status(self) -> WorkerStatus:
        """Say how each slot is at this moment."""
        order = {server: place for place, server in enumerate(self._servers)}
        found = [lane.status for lane in self._lanes]
        return WorkerStatus(tuple(sorted(found, key=lambda one: (order[one.server], one.slot))))

    @property
    def registered(self) -> tuple[GearmanServer, ...]:
        """The servers that have shown that they know at least one of the slots."""
        return self.status().registered

    def _add_lanes(self, server: GearmanServer, slots: Sequence[int]) -> None:
        """Open these slots at a server, with one thread."""
        label = f"{slots[0]}-{slots[-1]}" if len(slots) > 1 else str(slots[0])
        carrier = Carrier(name=f"{self._client_id}/{label}@{server}", stopping=self._stop.is_set)
        lanes = [
            Lane(
                server=server,
                slot=slot,
                answering=self._answering,
                open_session=self._open_session,
                stop=self._stop,
                on_busy=lambda: self._grow(server),
                wake=carrier.wake,
                clock=self._clock,
                chance=self._chance,
            )
            for slot in slots
        ]
        carrier.carry(*lanes)
        carrier.start()
        self._carriers = (*self._carriers, carrier)
        self._lanes = (*self._lanes, *lanes)

    def _grow(self, server: GearmanServer) -> None:
        """Open another slot at a server that is running out of idle ones."""
        if self._max_slots == self._slots:
            return
        with self._growing:
            here = [lane for lane in self._lanes if lane.server == server]
            idle = sum(lane.status.state is not LaneState.BUSY for lane in here)
            if idle >= _SPARE or len(here) >= self._max_slots or self._stop.is_set():
                return
            try:
                self._add_lanes(server, [len(here) + 1])
            except RuntimeError:  # the machine has no thread left: serve with what there is
                _log.exception("no thread for another slot at gearman server %s", server)

    def _open_session(self, lane: Lane) -> Session:
        return Session(
            connection=Connection(
                server=lane.server,
                tls=self._tls,
                message_limit=self._answering.message_limit,
                connect_timeout=self._connect_timeout,
            ),
            function=self._name.encode(),
            client_id=f"{self._client_id}/{lane.slot}".encode(),
            serve=lane.serve,
            answer=lane.answer,
            stopping=self._stop.is_set,
            on_registered=lane.registered,
            vigil=Vigil(self._probe_idle, self._probe_patience, self._clock()),
            watch=self._watches[lane.server],
            wake=lane.wake,
            clock=self._clock,
        )


def _word(what: str, text: str) -> str:
    # White space would shift the columns of the server's own listing, NUL ends a field.
    if not text or not text.isprintable() or any(letter.isspace() for letter in text):
        raise SettingsError(f"worker {what} {text!r} is empty or has white space in it")
    if len(text.encode()) > _NAME_LIMIT:
        raise SettingsError(f"worker {what} {text!r} is longer than {_NAME_LIMIT} bytes")
    return text
