"""HAProxy as one running thing: keeper, master and worker together.

`serve` brings a text into the running process, by a start or by a reload that loses nothing, and
returns once a process that was started from this very text answers. Whether it serves what was
asked for is `confirm`'s question.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence

from libra_common.crash import crash_point
from libra_haproxy import commands
from libra_haproxy.check import alerts
from libra_haproxy.deadline import Deadline
from libra_haproxy.downs import Downs, Servers
from libra_haproxy.errors import (
    EngineError,
    HaproxyDown,
    HaproxyTimeout,
    PortForbidden,
    PortTaken,
    ReloadFailed,
    StartFailed,
)
from libra_haproxy.keeper_client import KeeperClient, KeeperStatus
from libra_haproxy.ledger import Books, Counts
from libra_haproxy.privileges import may_listen_on_low_ports
from libra_haproxy.readings import Processes, ServerRow, UnexpectedAnswer, parse_servers
from libra_haproxy.runtime import Master, Worker

LOG = logging.getLogger(__name__)

SERVE_SECONDS = 20.0
"""How long a start or a reload may take. A port that is taken shows after two seconds."""

_POLL_SECONDS = 0.01


class Process:
    """Starts, reloads and stops the HAProxy behind one keeper."""

    def __init__(
        self, *, keeper: KeeperClient, master: Master, worker: Worker, downs: Downs | None = None
    ) -> None:
        self._keeper = keeper
        self._master = master
        self.worker = worker
        self._downs = downs
        self._seen: KeeperStatus | None = None

    def open_files(self) -> int | None:
        """The limit on open files of the running keeper; None when there is no keeper."""
        status = self._seen or self._keeper.status()
        return status.open_files if status else None

    def running(self) -> bool:
        """Whether a keeper with a living HAProxy is there."""
        status = self._keeper.status()
        return status is not None and status.pid is not None

    def low_ports(self) -> bool:
        """Whether HAProxy may listen on ports below 1024; one that does not run will be asked."""
        status = self._keeper.status()
        if status is None or status.pid is None:
            return True
        return may_listen_on_low_ports(status.pid)

    def digest(self) -> str | None:
        """The digest of the text that HAProxy says it serves; None when none runs.

        Raises HaproxyTimeout when it hangs.
        """
        return self.digest_soon()()

    def digest_soon(self) -> Callable[[], str | None]:
        """Ask for it now; what this gives waits for the answer, and raises what `digest` does."""
        try:
            asked = self.worker.pid_and_digest_soon()
        except HaproxyDown:
            return lambda: None

        def answered() -> str | None:
            try:
                return asked()[1]
            except HaproxyDown:
                return None

        return answered

    def glance(self, *, seconds: float) -> tuple[str | None, str]:
        """The digest, and HAProxy's release, asked within `seconds`; None and "" when none runs.

        Raises HaproxyTimeout when it hangs.
        """
        try:
            return self.worker.glance(seconds=seconds)
        except HaproxyDown:
            return None, ""

    def serve(self, digest: str, wanted: Servers) -> None:
        """Have the file that carries `digest` served, by a start or a reload.

        A server of `wanted` that is down gets nothing from the new process either.
        Raises StartFailed, ReloadFailed or PortTaken with HAProxy's own words, or HaproxyTimeout.
        """
        mark = self._keeper.log_mark()
        if self.running():
            # One that dies again and again is not reloaded: its next start has the new file.
            with contextlib.suppress(HaproxyDown):
                self._reload(digest, mark, wanted)
                return
        self._forget_downs()
        self._start(digest, mark, wanted)

    def stop(self) -> None:
        """Stop HAProxy and its keeper."""
        self._keeper.stop()
        self._seen = None

    def end_traffic(self, frontends: Sequence[str]) -> None:
        """Refuse new connections and cut the present ones, at once and without a reload."""
        for frontend in frontends:
            self.worker.disable_frontend(frontend)
        self.end_sessions(frontends)

    def totals(self) -> Counts:
        """What went through each frontend in the Instance's life, over all processes."""
        return self.books().totals

    def books(self) -> Books:
        """The totals, and since when they are counted."""
        return self._keeper.books()

    def lines_missed(self) -> tuple[int, int]:
        """The access log lines that HAProxy lost, and those that were dropped on disk."""
        status = self._keeper.status()
        return (0, 0) if status is None else (status.lines_lost, status.lines_dropped)

    def end_sessions(self, frontends: Sequence[str]) -> int:
        """Cut what is left of `frontends`' sessions, in leaving processes too; says how many."""
        processes = self._master.processes()
        cut = 0
        for process in (*processes.workers, *processes.old_workers):
            # One that has just left took its sessions along.
            with contextlib.suppress(UnexpectedAnswer, HaproxyDown):
                cut += self._master.end_sessions(process.pid, frontends=frontends)
        return cut

    def look(self) -> int:
        """See to it that a keeper is there; returns how many deaths were seen since last time.

        A keeper that is gone is started again and adopts the HAProxy that it left.
        """
        status = self._keeper.status()
        before, deaths = self._seen, 0
        if before is None:
            # A daemon that was killed in a reload may have left them, for whatever starts next.
            self._forget_downs()
        if status is None:
            if before is not None:
                LOG.error("HAProxy's keeper %d is gone; starting another", before.keeper)
                deaths += 1
            status = self._keeper.start()
        elif before is None:
            # It may have been started by a daemon with other settings.
            self._keeper.rebound_logs()
        elif before.keeper == status.keeper:
            deaths = status.deaths - before.deaths
            if deaths:
                LOG.error("HAProxy died %d time(s), last: %s", deaths, status.last_end)
        self._seen = status
        return deaths

    def _start(self, digest: str, mark: int, wanted: Servers) -> None:
        status = self._keeper.status()
        # A keeper that was there already may just be starting one from the file before this.
        excused = 0 if status is None else status.deaths + 1
        self._seen = status = status or self._keeper.start()
        crash_point("during_start")
        deadline = Deadline.after(SERVE_SECONDS)
        while not deadline.passed:
            with contextlib.suppress(HaproxyDown, UnexpectedAnswer):
                if self.worker.pid_and_digest()[1] == digest:
                    return
                if status.adopted:
                    # It ran on without its keeper, from an older text.
                    self._reload(digest, mark, wanted)
                    return
            now = self._keeper.status()
            if now is not None and now.deaths > excused:
                self._fail(StartFailed, "HAProxy did not start", mark, now.last_end)
            time.sleep(_POLL_SECONDS)
        raise HaproxyTimeout(f"HAProxy did not answer within {SERVE_SECONDS:g} s of its start")

    def _reload(self, digest: str, mark: int, wanted: Servers) -> None:
        """Ask the master for a new worker and wait for one that answers with `digest`.

        HAProxy 2.6 gives no verdict of its own; a reload counter that moved with a failure beside
        it is one, and later releases show it the same way.
        """
        before = self._master.processes()
        states = self.worker.server_states()
        if self._downs:
            self._downs.write(states, wanted)
        stay = [row for row in parse_servers(states) if (row.backend, row.name) in wanted]
        try:
            self._replace(digest, mark, before, stay)
        finally:
            self._forget_downs()

    def _replace(
        self, digest: str, mark: int, before: Processes, servers: Sequence[ServerRow]
    ) -> None:
        pid, _ = self.worker.pid_and_digest()
        self._keeper.hold()
        crash_point("before_reload")
        with contextlib.suppress(HaproxyDown):
            self._master.reload()
        crash_point("during_reload")
        deadline = Deadline.after(SERVE_SECONDS)
        while not deadline.passed:
            # The master answers nothing while it replaces itself.
            with contextlib.suppress(HaproxyDown, UnexpectedAnswer):
                now = self._master.processes()
                if now.master.reloads > before.master.reloads and now.failed:
                    self._fail(ReloadFailed, "HAProxy refused the reload", mark)
                new_pid, new_digest = self.worker.pid_and_digest()
                if new_pid != pid and new_digest == digest:
                    self.worker.replaced(pid)
                    self._keep_down(servers)
                    return
            time.sleep(_POLL_SECONDS)
        raise HaproxyTimeout(f"HAProxy did not finish its reload within {SERVE_SECONDS:g} s")

    def _forget_downs(self) -> None:
        if self._downs:
            self._downs.clear()

    def _keep_down(self, before: Sequence[ServerRow]) -> None:
        """Tell a new process which servers were down, where no file has told it.

        Their checks bring them up; without this, dead servers would get traffic until theirs fail.
        """
        # One in maintenance is down by our own will, which may be another now.
        was_down = {
            (row.backend, row.name, row.address, row.port)
            for row in before
            if row.down and not row.maintenance
        }
        if was_down:
            self.worker.run(
                commands.lines(
                    commands.down(row.backend, row.name)
                    for row in self.worker.servers()
                    if (row.backend, row.name, row.address, row.port) in was_down
                    and not (row.down or row.maintenance)
                )
            )

    def _fail(self, error: type[EngineError], what: str, mark: int, otherwise: str = "") -> None:
        said = alerts(self._keeper.log_since(mark)) or otherwise
        if "Address already in use" in said:
            error = PortTaken
        elif "cannot bind socket (Permission denied)" in said:
            error = PortForbidden
        raise error(f"{what}: {said}" if said else what)
