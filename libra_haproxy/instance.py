"""One Instance: one directory, one keeper, one HAProxy.

A door opens an Instance, which brings HAProxy to the stored state, and then asks for changes.
Each either is in force when the call returns, read back from HAProxy, or raises an `EngineError`
and has changed nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from libra_common.logs import current_job
from libra_haproxy import reports
from libra_haproxy.afterwards import Afterwards
from libra_haproxy.certificates import Bundle
from libra_haproxy.errors import (
    ConfigRefused,
    EngineError,
    LoadBalancerDeleted,
    NoLoadBalancer,
)
from libra_haproxy.health import Health, Standing
from libra_haproxy.history import Entry, History
from libra_haproxy.late import LateCheck
from libra_haproxy.lognote import Owner
from libra_haproxy.model import Model, Protocol, State, Status
from libra_haproxy.reports import Report, Reports
from libra_haproxy.sealed import Sealed
from libra_haproxy.service import Service, model_of
from libra_haproxy.statuses import ServerStatus, rates, server_statuses
from libra_haproxy.store import Store
from libra_haproxy.truth import Truth
from libra_haproxy.turnstile import Turnstile
from libra_haproxy.updates import Updates
from libra_haproxy.wishes import Applied, Wish

LOG = logging.getLogger(__name__)

Found = TypeVar("Found")


class Instance:
    """The engine's front: apply, suspend, enable, delete, and what can be asked in between.

    Changes take their turns in the order in which they come, and configurations that wait in a
    row are carried by one change; reads never wait for one.
    """

    def __init__(self, *, store: Store, service: Service) -> None:
        self._store = store
        self._service = service
        self._history = History(store)
        self._reports = Reports(store.config.with_name(reports.NAME))
        self._changes = Turnstile[Wish]()
        self._afterwards = Afterwards()
        self._truth = Truth(store=store, service=service, afterwards=self._afterwards)
        self._updates = Updates(
            truth=self._truth,
            history=self._history,
            afterwards=self._afterwards,
            late=LateCheck(check=self._truth.check, refused=self._on_late_refusal),
            turns=self._changes,
        )
        self._deaths = 0

    @property
    def state(self) -> State:
        """The state in force; a frozen value."""
        return self._truth.state

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
        with self._turn():
            self._truth.open()
            self._history.open(self._truth.state)
            self._store.certificates.sweep()

    def close(self) -> None:
        """Give the Instance up; HAProxy goes on serving."""
        with self._turn():
            self._store.unlock()

    def apply(
        self,
        wanted: Model,
        *,
        generation: int | None = None,
        certificates: Iterable[Bundle] = (),
    ) -> Applied:
        """Make `wanted` the whole configuration; a suspended load balancer stays suspended.

        `certificates` has those that `wanted` names; one that was given before need not be
        given again as long as a configuration here names it. `generation` is the sender's own
        number of it, None where it has none. Returns the state in force, which may be that of a
        later call that waited together with this one. Raises StaleGeneration where a newer one,
        or another of the same number, is in force, BadCertificate or CertificateMissing, or
        another EngineError; it has changed nothing then.
        """
        wish = Wish(model=wanted, generation=generation, job=current_job())
        with self._kept(wanted, certificates), self._turn(wish) as ours:
            if ours:
                self._updates.grant(wish)
        return wish.outcome()

    def rollback(self, entry: int, *, generation: int | None = None) -> State:
        """Apply the configuration of an entry of the history once more, otherwise as `apply` does.

        A server that is in force now keeps its number. Raises NoSuchEntry too.
        """
        with self._turn():
            self.must_exist()
            kept = self._history.find(entry)
            with self._kept(kept.model):
                return self._updates.apply(
                    Wish(model=kept.model, generation=generation, job=current_job()),
                    reason=f"rollback to {entry}",
                    restores=entry,
                )

    def suspend(self) -> State:
        """Refuse all traffic until `enable`, over restarts and reboots; cut what is going on."""
        with self._turn():
            state = self._updates.change(replace(self.must_exist(), status=Status.SUSPENDED))
            self._service.cut_sessions(state)
            return state

    def enable(self) -> State:
        """Serve again, with what was stored meanwhile."""
        with self._turn():
            return self._updates.change(replace(self.must_exist(), status=Status.ACTIVE))

    def delete(self) -> State:
        """Stop serving and erase configuration and state for good; none there is no fault.

        The state that is left holds the final `traffic`, so that a rerun answers the same.
        """
        with self._turn():
            self._truth.delete()
            self._history.forget()
            self._store.certificates.sweep()
            return self._truth.state

    def renew(self) -> None:
        """Have the HAProxy that is on disk now take over from the one that runs.

        Raises EngineError; the one that runs serves on then.
        """
        with self._turn():
            self._truth.renew()

    def releases(self) -> tuple[str, str]:
        """HAProxy's release that runs and the one on disk; empty where unknown."""
        return ("", "") if self._truth.state.model is None else self._service.versions()

    def look(self) -> None:
        """See that HAProxy's keeper is there, and start one if not; to be called every second.

        Skipped while a change is under way, which sees for itself.
        """
        with self._changes.turn_if_free() as free:
            if free and self._truth.state.model is not None:
                self._deaths += self._service.look()
        # Not in a turn: a disk or a master that hangs must not keep a change waiting.
        if self._truth.state.model is None:
            self._service.logs.look()
        else:
            self._service.end_lingering()

    # -- reads -----------------------------------------------------------------------------

    def must_exist(self) -> State:
        """The state, if there is a load balancer.

        Raises NoLoadBalancer or LoadBalancerDeleted.
        """
        state = self._truth.state
        if state.status is Status.DELETED:
            raise LoadBalancerDeleted("the load balancer was deleted")
        if state.model is None:
            raise NoLoadBalancer("there is no load balancer yet")
        return state

    def activity(self) -> tuple[State, list[ServerStatus], Mapping[Protocol, int]]:
        """The state, every server's status, requests of the last second; asked of HAProxy now.

        Raises HaproxyDown or HaproxyTimeout when it does not answer, NoLoadBalancer or
        LoadBalancerDeleted when there is nothing to ask about.
        """
        state = self.must_exist()
        found, model = self._service.activity(), model_of(state)
        servers = server_statuses(model, found, suspended=state.suspended)
        return state, servers, rates(model, found)

    def history(self) -> tuple[Entry, ...]:
        """The last configurations that were in force, newest first.

        Raises NoLoadBalancer or LoadBalancerDeleted.
        """
        self.must_exist()
        self._afterwards.finish()
        return self._history.entries()

    def report(self, *, ack: int | None = None) -> tuple[State, Report]:
        """The state, and the traffic since an earlier report; `reports` has the rule of `ack`.

        Raises NoLoadBalancer, LoadBalancerDeleted, HaproxyTimeout, StateUnreadable or DiskError.
        """
        state = self.must_exist()
        return state, self._reports.next(self._service.books(), ack=ack)

    def logs(
        self, protocol: Protocol, *, label: str | None, seconds: float
    ) -> AbstractContextManager[list[Sealed]]:
        """Rotate a load balancer's log, and have all that wait, oldest first, for oneself.

        `label` is the id by which it is asked for, if any; those of a deleted load balancer are
        had by its id. Raises Busy after `seconds`, NoLoadBalancer where there never was one,
        HaproxyDown, HaproxyTimeout or DiskError.
        """
        if self._truth.state.status is Status.NONE:
            raise NoLoadBalancer("there is no load balancer yet")
        return self._service.logs.take(
            f"{protocol}-in", asked=label, owner=partial(self._owner, protocol), seconds=seconds
        )

    def _owner(self, protocol: Protocol) -> Owner | None:
        model = self._truth.state.model
        if model is None:
            return None
        found = (lb.label for lb in model.load_balancers if lb.protocol is protocol)
        return Owner(label=next(found, None))

    def settle(self, log: Sealed, name: str) -> str:
        """A log's name in the store: `name`, unless one was settled before. Raises DiskError."""
        return self._service.logs.target(log, name)

    def lines_missed(self) -> tuple[int, int]:
        """How many access log lines were lost on their way to disk, and dropped there.

        Raises HaproxyTimeout.
        """
        return self._service.lines_missed()

    def answers(self) -> bool:
        """Whether HAProxy answers on its socket. Raises HaproxyTimeout when it hangs."""
        return self._service.answers()

    def standing(self) -> Standing:
        """Whether HAProxy serves what is stored, by one question to it.

        Raises nothing: what cannot be asked is told as not in force.
        """
        state = self._truth.state
        why_not, version = ("", "") if state.model is None else self._service.standing()
        return Standing(
            generation=state.generation,
            in_force=None if state.model is None else not why_not,
            why_not=why_not,
            version=version,
        )

    def health(self, standing: Standing) -> Health:
        """What else there is to tell beside `standing`. Raises nothing either."""
        service, must_run = self._service, standing.in_force is not None
        lost, dropped = _or_nothing(service.lines_missed, (0, 0))
        return Health(
            standing=standing,
            applied=self._history.applied,
            reloads=service.reloads,
            runtime_changes=service.runtime_changes,
            deaths=self._deaths,
            lingering=service.lingering() if must_run else 0,
            lines_lost=lost,
            lines_dropped=dropped,
            totals=_or_nothing(lambda: service.books().totals, {}),
            installed=service.installed() if must_run else "",
        )

    # -- turns -----------------------------------------------------------------------------

    @contextmanager
    def _turn(self, wish: Wish | None = None) -> Iterator[bool]:
        """Wait for one's turn; all that the change before has left is done then."""
        with self._changes.turn(wish) as ours:
            if ours:
                self._afterwards.finish()
            yield ours

    @contextmanager
    def _kept(self, model: Model, certificates: Iterable[Bundle] = ()) -> Iterator[None]:
        """Have the certificates of `model` on disk, and erase afterwards what nothing names."""
        try:
            with self._store.certificates.kept(model, certificates):
                yield
        finally:
            self._afterwards.add(self._store.certificates.sweep)

    def _on_late_refusal(self, error: ConfigRefused) -> None:
        """Go back to the last state whose file HAProxy took, and trust run time no more."""
        LOG.critical("a file made at run time was refused, so going back: %s", error)
        with self._turn():
            self._service.reload_only()
            self._updates.go_back()


def _or_nothing(ask: Callable[[], Found], nothing: Found) -> Found:
    """What somebody says, `nothing` where the one who would is away or hangs."""
    try:
        return ask()
    except EngineError:
        return nothing
