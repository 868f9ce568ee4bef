"""A worker's side of one connection, from its registration to its end.

One session is one connection and holds at most one job, so an answer can go nowhere but to the
connection that assigned the job. (Handles begin again at 1 when a server restarts: an answer
sent on a later connection could reach another caller.)

A session never waits: its carrier polls the connection, together with others, and gives it a turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gearman.errors import ProtocolError
from gearman.job import GearmanJob
from gearman.protocol import GEARMAN_COMMAND_ECHO_REQ
from gearman.worker import GearmanWorker
from gearman.worker_handler import GearmanWorkerCommandHandler

from libra_common.jobs.vigil import Verdict, Vigil
from libra_common.jobs.watch import Watch
from libra_common.jobs.wire import Connection

_log = logging.getLogger(__name__)

_HANGING_BACK = 0.005
"""Seconds for which a slot leaves a job to another: the two would only be in each other's way."""


class _Commands(GearmanWorkerCommandHandler):  # type: ignore[misc]  # pygearman carries no types
    """pygearman's worker states, with echo answers and with the will to stop."""

    connection_manager: Session

    def recv_echo_res(self, data: bytes) -> bool:
        self.connection_manager.echoed(data)
        return True

    def recv_noop(self) -> bool:
        # A stopping worker leaves the job that it is woken for to another.
        session = self.connection_manager
        return session.stopping() or session.hangs_back() or bool(super().recv_noop())

    def recv_no_job(self) -> bool:
        self.connection_manager.asked()
        return bool(super().recv_no_job())

    def recv_job_assign_uniq(
        self, job_handle: bytes, task: bytes, unique: bytes | None, data: bytes
    ) -> bool:
        # pygearman asserts this, and `python -O` drops assertions.
        if task not in self._handler_abilities:
            raise ProtocolError(f"the server assigned a job of function {task!r}")
        if not self._check_job_lock():
            raise ProtocolError("the server assigned a job that was not asked for")
        session = self.connection_manager
        session.asked()
        job = session.create_job(self, job_handle, task, unique, self.decode_data(data))
        if session.on_job_execute(job):
            self.rest()
        return True

    def rest(self) -> None:
        """Be ready for the next job, the last one being answered."""
        self._release_job_lock()
        self._sleep()

    def take_place(self) -> None:
        """Sleep at last, having rested."""
        self._sleep()

    def ask(self) -> None:
        """Ask for a job at last, having hung back."""
        super().recv_noop()

    def _sleep(self) -> None:
        # Without PRE_SLEEP the server does not count on this worker any more.
        session = self.connection_manager
        if not session.stopping() and session.sleeps():
            super()._sleep()


class Session(GearmanWorker):  # type: ignore[misc]  # pygearman carries no types
    """Registers one function on one connection and serves its jobs until told to stop.

    `serve` answers a job (pygearman's object) or gives None, for later; it must not raise.
    `answer` gives a late answer once it is there, None until then. `stopping` says whether to come
    to an end. `on_registered` is called once, when the server has shown that it took the
    registration. `vigil` is fresh and on `clock`'s time. `watch` is that of the server's slots,
    `wake` has this one given a turn.
    """

    command_handler_class = _Commands

    def __init__(
        self,
        *,
        connection: Connection,
        function: bytes,
        client_id: bytes,
        serve: Callable[[GearmanJob], bytes | None],
        answer: Callable[[], bytes | None],
        stopping: Callable[[], bool],
        on_registered: Callable[[], None],
        vigil: Vigil,
        watch: Watch,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.connection_list = [connection]
        self._connection = connection
        self._serve = serve
        self._answer = answer
        self._late: GearmanJob | None = None  # the job whose answer is still to come
        self.stopping = stopping
        self._on_registered = on_registered
        self._registered = False
        self._vigil = vigil
        self._watch = watch
        self._wake = wake
        self._called = False  # to the place of another
        self._asks_at: float | None = None  # for the job that the server has called for
        self._clock = clock
        self._echoes_sent = 0
        self._echoes_heard = 0
        self._unconfirmed = 0  # the echo whose answer shows that the last job's answer arrived
        # Once, and as bytes: a later CAN_DO would take the running job away (gearmand 1.1.20),
        # and a str is not found again when the job comes.
        self.worker_abilities[function] = None
        self.worker_client_id = client_id
        self._update_initial_state()

    def connect(self) -> None:
        """Connect; raises pygearman's ConnectionError when the server cannot be reached."""
        self.establish_connection(self._connection)

    def register(self) -> None:
        """Have the registration and the question that proves it sent in the next turns."""
        self._ask_for_echo()

    def close(self) -> None:
        """Close the connection; a job that it had goes back to the server's queue."""
        self._watch.asked(self)
        self._watch.leaves(self)
        self.shutdown()

    # What its carrier asks

    def fileno(self) -> int:
        """The descriptor to be polled."""
        return int(self._connection.fileno())

    def interest(self) -> int:
        """The events to poll it for."""
        return self._connection.interest()

    def wait(self) -> float:
        """Seconds after which a turn is due even though nothing came."""
        if self._called or self._connection.pending():
            return 0.0
        now = self._clock()
        wait = self._vigil.wait(now)
        return wait if self._asks_at is None else max(0.0, min(wait, self._asks_at - now))

    def turn(self, *, readable: bool) -> None:
        """Do what can be done without waiting.

        Raises pygearman's errors when the connection breaks or the server speaks nonsense.
        """
        connection = self._connection
        if self._called:
            self._called = False
            self.connection_to_handler_map[connection].take_place()
        if self._asks_at is not None and self._asks_at <= self._clock():
            self._asks_at = None
            if not self.stopping():
                self.connection_to_handler_map[connection].ask()
        if self._late is not None and (answer := self._answer()) is not None:
            job, self._late = self._late, None
            self._send(job, answer)
            self.connection_to_handler_map[connection].rest()
        if readable or connection.pending():
            self._read()
        sent = connection.flush()
        if sent and connection.writable():
            # The server takes a long answer bit by bit: slow is not dead.
            self._vigil.heard(self._clock())
        self._keep_vigil()

    def finished(self) -> bool:
        """Whether a stop was asked for and every answer has reached the server."""
        if not self.stopping():
            return False
        if self.has_job_lock() or self._connection.writable():
            return False  # a job was asked for, or an answer is on its way
        if self._echoes_heard >= self._unconfirmed:
            return True
        if self._echoes_sent < self._unconfirmed:
            # Closing with unread input would reset the connection under the answer, so ask
            # first: packets are handled in order, the echo proves the answer was.
            self._ask_for_echo()
        return False

    # The parts of a turn

    def _read(self) -> None:
        taken = self._connection.read_data_from_socket()
        self._connection.read_commands_from_buffer()
        self.connection_to_handler_map[self._connection].fetch_commands()
        if taken:
            # After the commands, for one of them may have been a job that took an hour.
            self._vigil.heard(self._clock())

    def _keep_vigil(self) -> None:
        match self._vigil.verdict(self._clock()):
            case Verdict.PROBE:
                self._ask_for_echo()
            case Verdict.DEAD:
                self._connection.throw_exception(message="the server stopped answering")
            case Verdict.WAIT:
                pass

    # Echoes: proof of registration, of life, and of a delivered answer

    def _ask_for_echo(self) -> None:
        self._echoes_sent += 1
        self._connection.send_command(
            GEARMAN_COMMAND_ECHO_REQ, {"data": str(self._echoes_sent).encode()}
        )
        self._vigil.probing(self._clock())

    def echoed(self, data: bytes) -> None:
        """Take the server's answer to an echo request."""
        if not data.isdigit() or int(data) > self._echoes_sent:
            raise ProtocolError(f"an echo of what was never sent: {data[:32]!r}")
        self._echoes_heard = max(self._echoes_heard, int(data))
        if not self._registered:
            self._registered = True
            self._on_registered()

    # Sleep

    def sleeps(self) -> bool:
        """Whether to sleep, now that there is nothing to do; else this rests until it is called."""
        return self._watch.sleeps(self, self._call)

    def _call(self) -> None:
        self._called = True
        self._wake()

    # Jobs

    def hangs_back(self) -> bool:
        """Whether to ask for a job a little later, since another slot is asking for it."""
        if self._watch.asks(self):
            return False
        self._asks_at = self._clock() + _HANGING_BACK
        return True

    def asked(self) -> None:
        """Note that the server has answered."""
        self._watch.asked(self)

    def on_job_execute(self, current_job: GearmanJob) -> bool:
        """Have a job answered with WORK_COMPLETE, whatever happens; False if that comes later."""
        self._watch.leaves(self)
        answer = self._serve(current_job)
        if answer is None:
            self._late = current_job
            return False
        self._send(current_job, answer)
        return True

    def _send(self, job: GearmanJob, answer: bytes) -> None:
        # Not pygearman's send_job_complete: that polls inside, reading packets within a packet.
        self._get_handler_for_job(job).send_job_complete(job, answer)
        self._unconfirmed = self._echoes_sent + 1

    def on_gearman_error(self, error_code: bytes, error_text: bytes) -> bool:
        """Log an ERROR packet; True, or the packets behind it would be lost and the slot stall."""
        _log.warning(
            "gearman server %s says %r: %r", self._connection.server, error_code, error_text
        )
        return True
