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
from libra_haproxy import commands, downs, limits
from libra_haproxy.certificates import Certificates
from libra_haproxy.check import check, must_be_there
from libra_haproxy.confirm import certificate_differences, differences
from libra_haproxy.errors import (
    EngineError,
    NoLoadBalancer,
    NotInForce,
)
from libra_haproxy.leaving import Leaving
from libra_haproxy.ledger import Books
from libra_haproxy.lingering import Lingering
from libra_haproxy.loaded import Loaded
from libra_haproxy.logshelf import LogShelf
from libra_haproxy.model import Model, Protocol, State, Traffic
from libra_haproxy.plan import (
    AddServer,
    AtRunTime,
    ByReload,
    Plan,
    RemoveServer,
    SetCertificate,
    plan,
)
from libra_haproxy.ports import Listen, refuse_unusable
from libra_haproxy.process import Process
from libra_haproxy.readings import Activity, Snapshot
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
        self._loaded = Loaded(process.worker)
        self._lingering = lingering
        self._maxconn = maxconn
        self._open_files = open_files
        self._at_run_time = True
        self._text: Rendered | None = None  # what HAProxy was last seen to serve
        self._leaving = Leaving()
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
        if running != rendered.digest or self._differences(state, rendered, self._worker.look()):
            return False
        self._text = rendered
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
        if self._text is None or running != self._text.digest:
            return "HAProxy serves another text than the stored one", release
        return "", release

    def installed(self) -> str:
        """HAProxy's release on disk; empty where it cannot be run."""
        return haproxy_version(self._haproxy)

    def way(self, now: State, wanted: State, rendered: Rendered, *, running: str | None) -> Plan:
        """How to get from `now` to `wanted`: at run time where HAProxy is known to serve `now`."""
        if running is None:
            return ByReload("HAProxy does not run")
        if self._text is None or running != self._text.digest or not self._at_run_time:
            return ByReload("it is not known what HAProxy serves")
        if rendered.maxconn != self._text.maxconn:
            return ByReload("another number of connections fits")
        if self._leaving.too_many:
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
            changed = self._change(state, rendered, way)
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
        self._text = rendered
        self._leaving.clear()
        found = self._differences(state, rendered, self._worker.look())
        if found:
            raise NotInForce("HAProxy does not serve what was asked: " + "; ".join(found[:5]))

    def reload_only(self) -> None:
        """Change nothing at run time any more; for an operator to find out why."""
        self._at_run_time = False

    def _change(self, state: State, rendered: Rendered, way: AtRunTime) -> Callable[[], list[str]]:
        """Have a plan carried out at run time; what this gives waits, and tells what is wrong."""
        added = [
            (operation.lb.backend, operation.server.name)
            for operation in way.operations
            if isinstance(operation, AddServer)
        ]
        removed = [
            (operation.backend, operation.name)
            for operation in way.operations
            if isinstance(operation, RemoveServer)
        ]
        before = list(self._leaving.make_way(added))
        self._leaving.add(removed)
        try:
            for operation in way.operations:
                if isinstance(operation, SetCertificate):
                    self._loaded.replace(operation.old, self._certificates.read(operation.new))
            asked = self._worker.change_soon(
                commands.lines(
                    [*before, *commands.commands(way.operations), commands.marking(rendered.digest)]
                )
            )
        except EngineError as error:
            wrong = [str(error)]
            return lambda: wrong

        def changed() -> list[str]:
            try:
                said, seen = asked()
                crash_point("after_runtime")
                if said:
                    LOG.debug("HAProxy said: %s", said)
                self._text = rendered
                return self._differences(state, rendered, seen)
            except EngineError as error:
                return [str(error)]

        return changed

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
        with contextlib.suppress(EngineError):
            self._leaving.look(self._worker)
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

    def _differences(self, state: State, rendered: Rendered, seen: Snapshot) -> list[str]:
        """What a process does not serve of `state` as its text says, one line each."""
        if seen.digest != rendered.digest:
            return ["HAProxy answers from another text than the one it was given"]
        found = differences(
            model_of(state),
            suspended=state.suspended,
            frontends=seen.frontends,
            servers=seen.servers,
            leaving=self._leaving,
        )
        if any(lb.tls for lb in model_of(state).load_balancers):
            found += certificate_differences(model_of(state), self._loaded.leaves().values())
        return found


def model_of(state: State) -> Model:
    """The model of a state that has one. Raises NoLoadBalancer."""
    if state.model is None:
        raise NoLoadBalancer("there is no load balancer yet")
    return state.model
