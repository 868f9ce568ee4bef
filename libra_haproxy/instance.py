"""One Instance: one directory, one keeper, one HAProxy. `apply` reads as the story of a change.

A door opens an Instance, which brings HAProxy to the stored state, and then asks for changes.
Each either is in force when the call returns, read back from HAProxy, or raises an `EngineError`
and has changed nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from libra_common.crash import crash_point
from libra_haproxy import limits, numbering
from libra_haproxy.check import check
from libra_haproxy.confirm import differences
from libra_haproxy.errors import (
    EngineError,
    HaproxyDown,
    LoadBalancerDeleted,
    NoLoadBalancer,
    NotInForce,
)
from libra_haproxy.model import Model, Protocol, State, Status, Traffic
from libra_haproxy.ports import Listen, refuse_unusable
from libra_haproxy.process import Process
from libra_haproxy.render import Place, Rendered, render
from libra_haproxy.store import Store
from libra_haproxy.turnstile import Turnstile

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """One server as its owner is told of it; `status` is UP, DOWN, MAINT, DRAIN or no check."""

    node_id: int | str
    address: str
    port: int
    status: str


class Instance:
    """The engine's front: apply, suspend, enable, delete, and what can be asked in between.

    `bind` are the addresses to listen on, `maxconn` the most connections wanted, `open_files`
    gives the limit of a HAProxy that is not running yet. Reads never wait for a change.
    """

    def __init__(
        self,
        *,
        store: Store,
        process: Process,
        haproxy: Path,
        bind: tuple[str, ...],
        admin_socket: Path,
        maxconn: int,
        open_files: Callable[[], int],
    ) -> None:
        self._store = store
        self._process = process
        self._haproxy = haproxy
        self._bind = bind
        self._admin_socket = admin_socket
        self._maxconn = maxconn
        self._open_files = open_files
        self._changes = Turnstile()
        self._state = State()
        self._deaths = 0

    @property
    def state(self) -> State:
        """The state in force; a frozen value."""
        return self._state

    @property
    def deaths(self) -> int:
        """How often HAProxy or its keeper was seen dead since this daemon started."""
        return self._deaths

    # -- changes ---------------------------------------------------------------------------

    def open(self, door: str) -> None:
        """Own the Instance in the name of `door` and bring HAProxy to the stored state.

        After a crash at any step this is the last state that was acknowledged or the one after.
        """
        self._store.lock(door)
        with self._changes.turn():
            self._store.discard()
            self._state = self._store.load()
            try:
                self._recover()
            except EngineError as error:
                if not self._store.pending():
                    raise
                LOG.error("the last change cannot be brought into force: %s", error)
                self._undo()

    def close(self) -> None:
        """Give the Instance up; HAProxy goes on serving."""
        with self._changes.turn():
            self._store.unlock()

    def apply(self, wanted: Model) -> State:
        """Make `wanted` the whole configuration; a suspended load balancer stays suspended.

        Returns the state in force. Raises EngineError, and has changed nothing then.
        """
        with self._changes.turn():
            old = self._state
            model, next_numbers = numbering.assign(
                wanted, previous=old.model, next_numbers=old.next_numbers
            )
            status = Status.SUSPENDED if old.suspended else Status.ACTIVE
            return self._change(replace(old, status=status, model=model, next_numbers=next_numbers))

    def suspend(self) -> State:
        """Refuse all traffic until `enable`, over restarts and reboots; cut what is going on."""
        with self._changes.turn():
            self.must_exist()
            state = self._change(replace(self._state, status=Status.SUSPENDED))
            self._process.end_sessions([lb.frontend for lb in _model(state).load_balancers])
            return state

    def enable(self) -> State:
        """Serve again, with what was stored meanwhile."""
        with self._changes.turn():
            self.must_exist()
            return self._change(replace(self._state, status=Status.ACTIVE))

    def delete(self) -> State:
        """Stop serving and erase configuration and state for good; none there is no fault.

        The state that is left holds the final `traffic`, so that a rerun answers the same.
        """
        with self._changes.turn():
            state = self._state
            if state.model is not None:
                tomb = State(
                    status=Status.DELETED,
                    generation=state.generation + 1,
                    traffic=self._final_traffic(state.model),
                )
                self._store.entomb(tomb)
                self._state = tomb
            self._bury()
            return self._state

    def _final_traffic(self, model: Model) -> dict[Protocol, Traffic]:
        """End all traffic and add it up. A HAProxy that does not answer is read no further."""
        try:
            self._process.end_traffic([lb.frontend for lb in model.load_balancers])
        except EngineError as error:
            LOG.warning("HAProxy is deleted without its last counters: %s", error)
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

    # -- reads -----------------------------------------------------------------------------

    def must_exist(self) -> State:
        """The state, if there is a load balancer.

        Raises NoLoadBalancer or LoadBalancerDeleted.
        """
        state = self._state
        if state.status is Status.DELETED:
            raise LoadBalancerDeleted("the load balancer was deleted")
        if state.model is None:
            raise NoLoadBalancer("there is no load balancer yet")
        return state

    def statuses(self) -> list[ServerStatus]:
        """Every server's status, asked of HAProxy now.

        Raises HaproxyDown or HaproxyTimeout when it does not answer, NoLoadBalancer or
        LoadBalancerDeleted when there is nothing to ask about.
        """
        state = self.must_exist()
        rows = self._process.worker.server_status()
        return [
            ServerStatus(
                node_id="" if server.node_id is None else server.node_id,
                address=server.address,
                port=server.port,
                # A suspended load balancer has no rows: HAProxy knows only that it is disabled.
                status="MAINT"
                if state.suspended
                else _word(rows.get((lb.backend, server.name), "DOWN")),
            )
            for lb in _model(state).load_balancers
            for server in lb.servers
        ]

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        try:
            self._process.worker.pid_and_digest()
        except HaproxyDown:
            return False
        return True

    def look(self) -> None:
        """See that HAProxy's keeper is there, and start one if not; to be called every second.

        Skipped while a change is under way, which sees for itself.
        """
        with self._changes.turn_if_free() as free:
            if free and self._state.model is not None:
                self._deaths += self._process.look()

    # -- the story of a change ---------------------------------------------------------------

    def _change(self, wanted: State) -> State:
        """Bring `wanted` into force or leave everything as it was."""
        rendered = self._render(wanted)
        served = self._serves(wanted, rendered)
        if served and replace(wanted, generation=self._state.generation) == self._state:
            return self._state
        self._refuse_unusable_ports(wanted)
        wanted = replace(wanted, generation=self._state.generation + 1)
        try:
            candidate = self._store.stage(wanted, rendered.text)
            check(haproxy=self._haproxy, config=candidate)
            crash_point("after_check")
        except BaseException:
            self._store.discard()
            raise
        self._store.commit()
        try:
            if not served:
                self._bring_into_force(wanted, rendered)
        except EngineError as error:
            LOG.error("change %d failed: %s; restoring", wanted.generation, error)
            self._undo()
            raise
        self._store.confirm()
        crash_point("after_confirm")
        self._state = wanted
        return wanted

    def _serves(self, wanted: State, rendered: Rendered) -> bool:
        """Whether HAProxy serves `wanted` already, by its own word.

        A HAProxy that hangs is found out here, before anything was touched.
        """
        if self._state.model is None:
            return False
        try:
            served = self._process.digest()
        except HaproxyDown:
            return False
        return served == rendered.digest and not self._differences(wanted)

    def _bring_into_force(self, state: State, rendered: Rendered) -> None:
        self._process.serve(rendered.digest)
        crash_point("after_reload")
        found = self._differences(state)
        if found:
            raise NotInForce("HAProxy does not serve what was asked: " + "; ".join(found[:5]))

    def _undo(self) -> None:
        """Put the last good pair back on disk and, where HAProxy left it, into force."""
        restored = self._store.restore()
        self._state = self._store.load()
        try:
            if restored and self._state.model is not None:
                # A HAProxy that has refused a reload is sound again after a good one.
                self._recover(reload=True)
            else:
                self._bury()
        except EngineError as error:
            # The caller's own error says more; this one goes to whoever reads the log.
            LOG.critical("the last good state could not be restored: %s", error)

    def _recover(self, *, reload: bool = False) -> None:
        """Make HAProxy serve the stored state, whatever it is doing now."""
        state = self._state
        if state.model is None:
            self._bury()
            return
        rendered = self._render(state)
        if self._store.text() != rendered.text:
            check(haproxy=self._haproxy, config=self._store.stage(state, rendered.text))
            self._store.commit()
        try:
            in_force = self._process.running() and self._process.digest() == rendered.digest
        except HaproxyDown:
            in_force = False
        if reload or not in_force or self._differences(state):
            self._bring_into_force(state, rendered)
        self._store.confirm()
        self._process.look()

    def _bury(self) -> None:
        """Leave nothing of a load balancer: no process, no file."""
        self._process.stop()
        self._store.erase()

    def _render(self, state: State) -> Rendered:
        open_files = self._process.open_files() or self._open_files()
        model = _model(state)
        place = Place(
            bind=self._bind,
            admin_socket=self._admin_socket,
            maxconn=limits.connections(model, open_files=open_files, wanted=self._maxconn),
        )
        return render(model, suspended=state.suspended, place=place)

    def _refuse_unusable_ports(self, wanted: State) -> None:
        """Look at ports that HAProxy does not hold yet; a suspended one will hold none."""
        if wanted.suspended:
            return
        held: set[int] = set()
        if self._state.model is not None and not self._state.suspended and self._process.running():
            held = {lb.port for lb in self._state.model.load_balancers}
        refuse_unusable(
            [
                Listen(address, lb.port)
                for lb in _model(wanted).load_balancers
                if lb.port not in held
                for address in self._bind
            ],
            low_ports=self._process.low_ports(),
        )

    def _differences(self, state: State) -> list[str]:
        worker = self._process.worker
        return differences(
            _model(state),
            suspended=state.suspended,
            frontends=worker.frontends(),
            servers=worker.servers(),
        )


def _model(state: State) -> Model:
    if state.model is None:
        raise NoLoadBalancer("there is no load balancer yet")
    return state.model


def _word(status: str) -> str:
    """HAProxy's status in one word: `UP 1/2` is up still, `MAINT (via ...)` is maintenance."""
    if status == "no check":
        return "UP"
    return status.split(" ", 1)[0]
