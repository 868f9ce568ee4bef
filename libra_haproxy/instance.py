"""One Instance: one directory, one keeper, one HAProxy. `_change` reads as the story of a change.

A door opens an Instance, which brings HAProxy to the stored state, and then asks for changes.
Each either is in force when the call returns, read back from HAProxy, or raises an `EngineError`
and has changed nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from libra_common.crash import crash_point
from libra_haproxy import numbering, reports
from libra_haproxy.errors import (
    ConfigRefused,
    DiskError,
    EngineError,
    LoadBalancerDeleted,
    NoLoadBalancer,
)
from libra_haproxy.history import UPDATE, WENT_BACK, Entry, History, refuse_stale
from libra_haproxy.late import LateCheck
from libra_haproxy.model import Model, State, Status
from libra_haproxy.plan import AtRunTime, ByReload, Plan
from libra_haproxy.reports import Report, Reports
from libra_haproxy.service import Service, model_of
from libra_haproxy.store import Store
from libra_haproxy.turnstile import Turnstile

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """One server as its owner is told of it; `status` is UP, DOWN, MAINT, DRAIN or NOLB."""

    node_id: int | str
    address: str
    port: int
    status: str


class Instance:
    """The engine's front: apply, suspend, enable, delete, and what can be asked in between.

    Changes take their turns in the order in which they come; reads never wait for one.
    """

    def __init__(self, *, store: Store, service: Service) -> None:
        self._store = store
        self._service = service
        self._history = History(store)
        self._late = LateCheck(check=self._check_late, refused=self._on_late_refusal)
        self._reports = Reports(store.config.with_name(reports.NAME))
        self._changes = Turnstile()
        self._state = State()
        self._sound: State | None = None  # the last whose file HAProxy has checked
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
        Raises EngineError where that state cannot be served; it stays as it is then.
        """
        self._service.must_be_possible()
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
            self._history.open(self._state)

    def close(self) -> None:
        """Give the Instance up; HAProxy goes on serving."""
        with self._changes.turn():
            self._store.unlock()

    def apply(self, wanted: Model, *, generation: int | None = None) -> State:
        """Make `wanted` the whole configuration; a suspended load balancer stays suspended.

        `generation` is the sender's own number of it, None where it has none. Returns the state
        in force. Raises StaleGeneration where a newer one, or another of the same number, is in
        force, or another EngineError; it has changed nothing then.
        """
        with self._changes.turn():
            return self._apply(wanted, generation=generation, reason=UPDATE)

    def rollback(self, entry: int, *, generation: int | None = None) -> State:
        """Apply the configuration of an entry of the history once more, otherwise as `apply` does.

        A server that is in force now keeps its number. Raises NoSuchEntry too.
        """
        with self._changes.turn():
            self.must_exist()
            kept = self._history.find(entry)
            reason = f"rollback to {entry}"
            return self._apply(kept.model, generation=generation, reason=reason, restores=entry)

    def suspend(self) -> State:
        """Refuse all traffic until `enable`, over restarts and reboots; cut what is going on."""
        with self._changes.turn():
            state = self._change(replace(self.must_exist(), status=Status.SUSPENDED))
            self._service.cut_sessions(state)
            return state

    def enable(self) -> State:
        """Serve again, with what was stored meanwhile."""
        with self._changes.turn():
            return self._change(replace(self.must_exist(), status=Status.ACTIVE))

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
                    traffic=self._service.final_traffic(state),
                )
                self._store.entomb(tomb)
                self._state = tomb
            self._bury()
            return self._state

    def look(self) -> None:
        """See that HAProxy's keeper is there, and start one if not; to be called every second.

        Skipped while a change is under way, which sees for itself.
        """
        with self._changes.turn_if_free() as free:
            if free and self._state.model is not None:
                self._deaths += self._service.look()

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

    def statuses(self) -> tuple[State, list[ServerStatus]]:
        """The state, and every server's status, asked of HAProxy now.

        Raises HaproxyDown or HaproxyTimeout when it does not answer, NoLoadBalancer or
        LoadBalancerDeleted when there is nothing to ask about.
        """
        state = self.must_exist()
        rows = self._service.server_status()

        def status(backend: str, name: str) -> str:
            # A suspended load balancer has no rows: HAProxy knows only that it is disabled.
            return "MAINT" if state.suspended else _word(rows.get((backend, name), "DOWN"))

        return state, [
            ServerStatus(
                node_id="" if server.node_id is None else server.node_id,
                address=server.address,
                port=server.port,
                status=status(lb.backend, server.name),
            )
            for lb in model_of(state).load_balancers
            for server in lb.servers
        ]

    def history(self) -> tuple[Entry, ...]:
        """The last configurations that were in force, newest first.

        Raises NoLoadBalancer or LoadBalancerDeleted.
        """
        self.must_exist()
        return self._history.entries()

    def report(self, *, ack: int | None = None) -> tuple[State, Report]:
        """The state, and the traffic since an earlier report; `reports` has the rule of `ack`.

        Raises NoLoadBalancer, LoadBalancerDeleted, HaproxyTimeout, StateUnreadable or DiskError.
        """
        state = self.must_exist()
        return state, self._reports.next(self._service.books(), ack=ack)

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        return self._service.answers()

    # -- the story of a change ---------------------------------------------------------------

    def _apply(
        self, wanted: Model, *, generation: int | None, reason: str, restores: int | None = None
    ) -> State:
        """`apply`, in one's turn."""
        old = self._state
        model, next_numbers = numbering.assign(
            wanted, previous=old.model, next_numbers=old.next_numbers
        )
        refuse_stale(generation, applied=old.sender_generation, same=model == old.model)
        state = self._change(
            State(
                status=Status.SUSPENDED if old.suspended else Status.ACTIVE,
                generation=old.generation,
                sender_generation=old.sender_generation if generation is None else generation,
                model=model,
                next_numbers=next_numbers,
            )
        )
        self._history.record(state, reason, sender_generation=generation, restores=restores)
        return state

    def _change(self, wanted: State) -> State:
        """Bring `wanted` into force or leave everything as it was."""
        now = self._state
        rendered = self._service.render(wanted)
        # A HAProxy that hangs is found out here, before anything was touched.
        running = None if now.model is None else self._service.running()
        served = self._service.serves(wanted, rendered, running=running)
        if served and wanted == now:
            return now
        way: Plan = AtRunTime(())
        if not served:
            way = self._service.way(now, wanted, rendered, running=running)
        if isinstance(way, ByReload) or now.suspended:
            self._service.refuse_unusable_ports(wanted, now=now)
        wanted = replace(wanted, generation=now.generation + 1)
        try:
            candidate = self._store.stage(wanted, rendered.text)
            if isinstance(way, ByReload):
                self._service.check(candidate)
            crash_point("after_check")
        except BaseException:
            self._store.discard()
            raise
        self._store.commit()
        try:
            if not served:
                self._service.bring_into_force(wanted, rendered, way)
        except EngineError as error:
            LOG.error("change %d failed: %s; restoring", wanted.generation, error)
            self._undo()
            raise
        self._keep_as_good()
        crash_point("after_confirm")
        self._state = wanted
        if isinstance(way, ByReload):
            self._sound = wanted
        else:
            self._late.due()
        return wanted

    def _check_late(self) -> None:
        state = self._state
        if state.model is not None:
            self._service.check(self._store.config)
            self._sound = state

    def _on_late_refusal(self, error: ConfigRefused) -> None:
        """Go back to the last state whose file HAProxy took, and trust run time no more."""
        LOG.critical("a file made at run time was refused, so going back: %s", error)
        with self._changes.turn():
            self._service.reload_only()
            sound = self._sound
            if sound is None or self._state.model is None:
                return
            try:
                # Neither a server's number nor a sender's generation is ever used twice.
                back = replace(self._state, status=sound.status, model=sound.model)
                self._history.record(self._change(back), WENT_BACK)
            except EngineError as failure:
                LOG.critical("going back failed: %s", failure)

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
        rendered = self._service.render(state)
        if self._store.text() != rendered.text:
            self._service.check(self._store.stage(state, rendered.text))
            self._store.commit()
        running = self._service.running()
        if reload or not self._service.serves(state, rendered, running=running):
            self._service.bring_into_force(state, rendered, ByReload("recovery"))
        self._keep_as_good()
        self._service.look()

    def _keep_as_good(self) -> None:
        """Keep what was just proved in force; without it, a restart proves it once more."""
        try:
            self._store.confirm()
        except DiskError as error:
            LOG.warning("the last good state is not kept: %s", error)

    def _bury(self) -> None:
        """Leave nothing of a load balancer: no process, no file."""
        self._service.stop()
        self._store.erase()
        self._history.forget()


def _word(status: str) -> str:
    """HAProxy's status in one word: `UP 1/2` is up still, `MAINT (via ...)` is maintenance."""
    if status == "no check":
        return "UP"
    return status.split(" ", 1)[0]
