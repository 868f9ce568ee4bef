"""A worker's side of one connection, from its registration to its end.

One session is one connection and holds at most one job, so an answer can go nowhere but to the
connection that assigned the job. (Handles begin again at 1 when a server restarts: an answer
sent on a later connection could reach another caller.)
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

from gearman.errors import ProtocolError
from gearman.job import GearmanJob
from gearman.protocol import GEARMAN_COMMAND_ECHO_REQ
from gearman.worker import GearmanWorker
from gearman.worker_handler import GearmanWorkerCommandHandler

from libra_common.jobs.vigil import Verdict, Vigil
from libra_common.jobs.wire import Connection

_log = logging.getLogger(__name__)

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class _Commands(GearmanWorkerCommandHandler):  # type: ignore[misc]  # pygearman carries no types
    """pygearman's worker states, with echo answers and with the will to stop."""

    connection_manager: Session

    def recv_echo_res(self, data: bytes) -> bool:
        self.connection_manager.echoed(data)
        return True

    def recv_noop(self) -> bool:
        # A stopping worker leaves the job that it is woken for to another.
        return self.connection_manager.stopping() or bool(super().recv_noop())

    def recv_job_assign_uniq(
        self, job_handle: bytes, task: bytes, unique: bytes | None, data: bytes
    ) -> bool:
        # pygearman asserts this, and `python -O` drops assertions.
        if task not in self._handler_abilities:
            raise ProtocolError(f"the server assigned a job of function {task!r}")
        return bool(super().recv_job_assign_uniq(job_handle, task, unique, data))

    def _sleep(self) -> None:
        # Without PRE_SLEEP the server does not count on this worker any more.
        if not self.connection_manager.stopping():
            super()._sleep()


class Session(GearmanWorker):  # type: ignore[misc]  # pygearman carries no types
    """Registers one function on one connection and serves its jobs until told to stop.

    `serve` answers a job (pygearman's object) and must not raise. `stopping` says whether to come
    to an end; `wake_fd` becomes readable when it does. `on_registered` is called once, when the
    server has shown that it took the registration. `vigil` is fresh and on `clock`'s time.
    """

    command_handler_class = _Commands

    def __init__(
        self,
        *,
        connection: Connection,
        function: bytes,
        client_id: bytes,
        serve: Callable[[GearmanJob], bytes],
        stopping: Callable[[], bool],
        wake_fd: int,
        on_registered: Callable[[], None],
        vigil: Vigil,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.connection_list = [connection]
        self._connection = connection
        self._serve = serve
        self.stopping = stopping
        self._wake_fd = wake_fd
        self._on_registered = on_registered
        self._registered = False
        self._vigil = vigil
        self._clock = clock
        self._poll = select.poll()
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

    def run(self) -> None:
        """Register and serve; return after a stop, when every answer has reached the server.

        Raises pygearman's errors when the connection breaks or the server speaks nonsense.
        """
        if self.stopping():
            return
        self._poll.register(self._wake_fd, select.POLLIN)
        self._ask_for_echo()
        while not self._finished():
            self._turn()

    def close(self) -> None:
        """Close the connection; a job that it had goes back to the server's queue."""
        self.shutdown()

    # One turn of the loop

    def _turn(self) -> None:
        connection = self._connection
        descriptor = connection.fileno()
        self._poll.register(descriptor, connection.interest())  # also changes the events
        if self.stopping():
            # Told already, and it stays readable: polling it would spin.
            self._poll.register(self._wake_fd, 0)
        seconds = 0.0 if connection.pending() else self._vigil.wait(self._clock())
        # Rounded up, or the last millisecond would be spent spinning.
        events = dict(self._poll.poll(int(seconds * 1000) + 1 if seconds else 0))
        if connection.pending() or events.get(descriptor, 0) & _READABLE:
            self._read()
        sent = connection.flush()
        if sent and connection.writable():
            # The server takes a long answer bit by bit: slow is not dead.
            self._vigil.heard(self._clock())
        self._keep_vigil()

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

    def _finished(self) -> bool:
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

    # Jobs

    def on_job_execute(self, current_job: GearmanJob) -> bool:
        """Answer a job with WORK_COMPLETE, whatever happens; the loop sends it."""
        answer = self._serve(current_job)
        # Not pygearman's send_job_complete: that polls inside, reading packets within a packet.
        self._get_handler_for_job(current_job).send_job_complete(current_job, answer)
        self._unconfirmed = self._echoes_sent + 1
        return True

    def on_gearman_error(self, error_code: bytes, error_text: bytes) -> bool:
        """Log an ERROR packet; True, or the packets behind it would be lost and the slot stall."""
        _log.warning(
            "gearman server %s says %r: %r", self._connection.server, error_code, error_text
        )
        return True
