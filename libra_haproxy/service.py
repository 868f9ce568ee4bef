"""A state and the HAProxy that is to serve it: what one has to do with the other.

Knows nothing of what is stored; `Instance` decides what shall be served, this says whether it is
and makes it so.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from libra_common.crash import crash_point
from libra_haproxy import downs, limits
from libra_haproxy.certificates import Certificates
from libra_haproxy.check import check, must_be_there
from libra_haproxy.errors import (
    EngineError,
    NoLoadBalancer,
    NotInForce,
)
from libra_haproxy.ledger import Books
from libra_haproxy.lingering import Lingering
from libra_haproxy.live import Live
from libra_haproxy.logshelf import LogShelf
from libra_haproxy.model import Model, Protocol, State, Traffic
from libra_haproxy.plan import (
    AtRunTime,
    ByReload,
    Plan,
    plan,
)
from libra_haproxy.ports import Listen, refuse_unusable
from libra_haproxy.process import Process
from libra_haproxy.readings import Activity
from libra_haproxy.render import Place, Rendered, render
from libra_haproxy.runtime import Worker
from libra_haproxy.versions import haproxy_version

LOG = logging.getLogger(__name__)

_GLANCE_SECONDS = 2.0
"""How long HAProxy may take to answer whoever asks after its health."""


class Service:
    """Serves states by one HAProxy, on the addresses `bind`.

    `maxconn` is the most connections wanted, `open_files` gives the limit on open files of a
    HAProxy that is not running yet.
    """

    def __init__(
        self,
        *,
        process: Process,
        logs: LogShelf,
        syslog: Path | None,
        haproxy: Path,
        bind: tuple[str, ...],
        admin_socket: Path,
        certificates: Certificates,
        lingering: Lingering,
        maxconn: int,
        open_files: Callable[[], int],
    ) -> None:
        self._process = process
        self.logs = logs
        self._syslog = syslog
        self._haproxy = haproxy
        self._bind = bind
        self._admin_socket = admin_socket
        self._certificates = certificates
        self._lingering = lingering
        self._maxconn = maxconn
        self._open_files = open_files
        self._at_run_time = True
        self._live = Live(worker=process.worker, certificates=certificates)
        self.reloads = self.runtime_changes = 0

    def must_be_possible(self) -> None:
        """Raise HaproxyMissing where nothing could ever be served."""
        must_be_there(self._haproxy)

    def render(self, state: State) -> Rendered:
        """HAProxy's file for `state`. Raises TooFewFiles where it could not be started."""
        model = model_of(state)
        open_files = self._process.open_files() or self._open_files()
        place = Place(
            bind=self._bind,
            admin_socket=self._admin_socket,
            maxconn=limits.connections(model, open_files=open_files, wanted=self._maxconn),
            certificates=self._certificates.directory,
            syslog=self._syslog,
        )
        return render(model, suspended=state.suspended, place=place)

    def check(self, config: Path) -> None:
        """Have HAProxy check a file. Raises ConfigRefused, HaproxyMissing or HaproxyTimeout."""
        check(haproxy=self._haproxy, config=config)

    def refuse_unusable_ports(self, wanted: State, *, now: State) -> None:
        """Look at the ports that HAProxy does not hold yet; a suspended one will hold none.

        Raises PortTaken, PortForbidden or StartFailed.
        """
        if wanted.suspended:
            return
        held: set[int] = set()
        if now.model is not None and not now.suspended and self._process.running():
            held = {lb.port for lb in now.model.load_balancers}
        refuse_unusable(
            [
                Listen(address, lb.port)
                for lb in model_of(wanted).load_balancers
                if lb.port not in held
                for address in self._bind
            ],
            low_ports=self._process.low_ports(),
        )

    def running(self) -> str | None:
        """The digest of the text that HAProxy says it serves; None when none runs.

        Raises HaproxyTimeout when it hangs.
        """
        return self._process.digest()

    def running_soon(self) -> Callable[[], str | None]:
        """Ask for it now; what this gives waits for the answer, and raises what `running` does."""
        return self._process.digest_soon()

    def serves(self, state: State, rendered: Rendered, *, running: str | None) -> bool:
        """Whether HAProxy, which says that it serves `running`, serves `state` from its text.

        Raises HaproxyTimeout when it hangs.
        """
        if running != rendered.digest or self._differences(state, rendered):
            return False
        self._live.text = rendered
        return True

    def standing(self) -> tuple[str, str]:
        """Why HAProxy does not serve what it was last given, empty where it does; its release.

        One question to HAProxy, which has two seconds for it.
        """
        try:
            running, release = self._process.glance(seconds=_GLANCE_SECONDS)
        except EngineError as error:
            return str(error), ""
        if running is None:
            return "HAProxy does not run", release
        if self._live.text is None or running != self._live.text.digest:
            return "HAProxy serves another text than the stored one", release
        return "", release

    def installed(self) -> str:
        """HAProxy's release on disk; empty where it cannot be run."""
        return haproxy_version(self._haproxy)

    def way(self, now: State, wanted: State, rendered: Rendered, *, running: str | None) -> Plan:
        """How to get from `now` to `wanted`: at run time where HAProxy is known to serve `now`."""
        if running is None:
            return ByReload("HAProxy does not run")
        known = self._live.text
        if known is None or running != known.digest or not self._at_run_time:
            return ByReload("it is not known what HAProxy serves")
        if rendered.maxconn != known.maxconn:
            return ByReload("another number of connections fits")
        if self._live.too_many_leave:
            return ByReload("too many removed servers still have connections")
        return plan(now, wanted)

    def bring_into_force(
        self, state: State, rendered: Rendered, way: Plan, *, store: Callable[[], None]
    ) -> None:
        """Take HAProxy to the text on disk, and read back what it serves then.

        `store` makes the state the truth: before a reload, and while HAProxy carries out changes
        at run time. What cannot be proved after those is done again by a reload. Raises
        NotInForce, or what `Process.serve` or `store` raises.
        """
        if isinstance(way, AtRunTime):
            changed = self._live.change(model_of(state), rendered, way, suspended=state.suspended)
            crash_point("during_runtime")
            store()
            found = changed()
            if not found:
                self.runtime_changes += 1
                return
            LOG.warning("not as asked after changes at run time, so reloading: %s", found[0])
        else:
            LOG.info("reloading: %s", way.reason)
            store()
        self.reloads += 1
        self._process.serve(rendered.digest, downs.of_model(model_of(state)))
        crash_point("after_reload")
        self._live.renewed(rendered)
        found = self._differences(state, rendered)
        if found:
            raise NotInForce("HAProxy does not serve what was asked: " + "; ".join(found[:5]))

    def reload_only(self) -> None:
        """Change nothing at run time any more; for an operator to find out why."""
        self._at_run_time = False

    def cut_sessions(self, state: State) -> None:
        """End what is still going on in any process, new or leaving."""
        self._process.end_sessions([lb.frontend for lb in model_of(state).load_balancers])

    def final_traffic(self, state: State) -> dict[Protocol, Traffic]:
        """End all traffic and add up what went through.

        A HAProxy that does not answer is not read any further: deleting must not depend on it.
        """
        self.logs.leave({lb.frontend: lb.label for lb in model_of(state).load_balancers})
        try:
            self._process.end_traffic([lb.frontend for lb in model_of(state).load_balancers])
        except EngineError as error:
            LOG.warning("deleted without HAProxy's last counters: %s", error)
        try:
            totals = self._process.totals()
        except EngineError as error:
            LOG.warning("the totals of the deleted load balancer are unknown: %s", error)
            return {}
        return {
            protocol: Traffic(bytes_in=counts[0], bytes_out=counts[1], sessions=counts[2])
            for protocol in Protocol
            if (counts := totals.get(f"{protocol}-in")) is not None
        }

    def books(self) -> Books:
        """What went through, and since when; asked now. Raises HaproxyTimeout."""
        return self._process.books()

    def lines_missed(self) -> tuple[int, int]:
        """The access log lines that were lost on their way to disk, and dropped there."""
        return self._process.lines_missed()

    def activity(self) -> Activity:
        """How servers are and what frontends do. Raises HaproxyDown or HaproxyTimeout."""
        return self._worker.activity()

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        return self.running() is not None

    def lingering(self) -> int:
        """How many processes that a reload has replaced still have connections."""
        return self._lingering.count

    def versions(self) -> tuple[str, str]:
        """HAProxy's release that runs and that of the program on disk; empty where unknown."""
        running = ""
        with contextlib.suppress(EngineError):
            running = self._worker.ask("show version").strip()
        return running, self.installed()

    def look(self) -> int:
        """See that a keeper is there, and clear out; returns the deaths seen since last time."""
        self._live.look()
        return self._process.look()

    def end_lingering(self) -> None:
        """Cut what keeps a replaced process alive past its time."""
        with contextlib.suppress(EngineError):
            self._lingering.look()

    def stop(self) -> None:
        """Stop HAProxy and its keeper; the logs are kept apart from those of whoever comes."""
        self._process.stop()
        self.logs.set_aside()

    @property
    def _worker(self) -> Worker:
        return self._process.worker

    def _differences(self, state: State, rendered: Rendered) -> list[str]:
        return self._live.differences(model_of(state), rendered, suspended=state.suspended)


def model_of(state: State) -> Model:
    """The model of a state that has one. Raises NoLoadBalancer."""
    if state.model is None:
        raise NoLoadBalancer("there is no load balancer yet")
    return state.model
