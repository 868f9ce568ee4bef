"""From Octavia's tree of a load balancer to the typed model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from libra_octavia.l7 import Action, Policy
from libra_octavia.model import (
    Listener,
    LoadBalancer,
    Member,
    Monitor,
    Pool,
    PoolProtocol,
    Protocol,
    Sticky,
)
from libra_octavia.objects import (
    Fault,
    Unsupported,
    lvs,
    read_listener,
    read_member,
    read_monitor,
    read_policy,
    read_pool,
    read_rule,
    read_vip,
)
from libra_octavia.objects.fields import is_set, plain

T = TypeVar("T")
M = TypeVar("M", Member, Monitor)

_LEADS_TO = {
    Protocol.HTTP: {PoolProtocol.HTTP, PoolProtocol.PROXY, PoolProtocol.PROXYV2},
    Protocol.HTTPS: {
        PoolProtocol.HTTPS,
        PoolProtocol.TCP,
        PoolProtocol.PROXY,
        PoolProtocol.PROXYV2,
    },
    Protocol.TCP: {one for one in PoolProtocol if not one.by_kernel},
    Protocol.TERMINATED_HTTPS: {PoolProtocol.HTTP, PoolProtocol.PROXY, PoolProtocol.PROXYV2},
    Protocol.PROMETHEUS: set(),
    Protocol.UDP: {PoolProtocol.UDP},
    Protocol.SCTP: {PoolProtocol.SCTP},
}
"""Which pools a listener may lead to, as Octavia's API has it."""


@dataclass(frozen=True, kw_only=True)
class Servable:
    """What of a tree can be served, and by their ids the objects that cannot, with the faults."""

    balancer: LoadBalancer
    refused: Mapping[str, Unsupported]


def translate(tree: object, *, without: Collection[str] = ()) -> LoadBalancer:
    """Give what a device is to serve, the whole of it.

    Takes what `servable` does. Raises Unsupported with every fault of every object, and for
    combinations of them that cannot be served.
    """
    found = servable(tree, without=without)
    faults = tuple(
        Fault(f"{error.what}: {fault.field}", fault.why)
        for error in found.refused.values()
        for fault in error.faults
    )
    if faults:
        raise Unsupported(f"load balancer {found.balancer.id}", faults)
    return found.balancer


def servable(tree: object, *, without: Collection[str] = ()) -> Servable:
    """Give what a device can serve of a tree, and leave out what it cannot.

    `tree` is what octavia-lib's `get_loadbalancer` returns; `without` holds the ids of objects
    that are being deleted, which the tree still shows. One object at fault keeps no other from
    being served. Raises Unsupported where the fault is the load balancer's own.
    """
    name, addresses, enabled = read_vip(tree)
    reading = _Reading(without, addresses)
    pools = {pool.id: pool for pool in map(reading.pool, pools_of(tree)) if pool is not None}
    listeners = (
        reading.listener(one, pools) for one in plain(tree).get("listeners", ()) if is_set(one)
    )
    kept = [listener for listener in listeners if listener is not None]
    balancer = LoadBalancer(
        id=name,
        addresses=addresses,
        enabled=enabled,
        listeners=tuple(kept),
        pools=tuple(pools.values()),
    )
    return Servable(balancer=balancer, refused=reading.refused)


class _Reading:
    """Reads objects one by one, so that one at fault is left out alone."""

    def __init__(self, without: Collection[str], addresses: Collection[str]) -> None:
        self.refused: dict[str, Unsupported] = {}
        self._without = without
        self._addresses = addresses
        self._open: set[str] = set()  # listeners that would let in what they are to reject

    def many(
        self, sources: Iterable[Any], id_field: str, read: Callable[[object], T]
    ) -> tuple[T, ...]:
        found = (self._one(source, id_field, read) for source in sources)
        return tuple(one for one in found if one is not None)

    def pool(self, source: Any) -> Pool | None:
        fields = plain(source)
        members, monitor = fields.pop("members", ()), fields.pop("healthmonitor", None)
        pool = self._one(fields, "pool_id", read_pool)
        if pool is None:
            return None
        found = (
            self._fit("member", one, lvs.member_faults(pool.protocol, one, self._addresses))
            for one in self.many(members, "member_id", read_member)
        )
        watch = monitor and self._one(monitor, "healthmonitor_id", read_monitor)
        return replace(
            pool,
            members=tuple(one for one in found if one is not None),
            monitor=watch
            and self._fit("health monitor", watch, lvs.monitor_faults(pool.protocol, watch)),
        )

    def _fit(self, what: str, one: M, faults: Iterable[Fault]) -> M | None:
        """An object, or None where it is at fault for what it is in."""
        if found := tuple(faults):
            self.refused[one.id] = Unsupported(f"{what} {one.id}", found)
            return None
        return one

    def listener(self, source: Any, pools: Mapping[str, Pool]) -> Listener | None:
        fields = plain(source)
        policies = fields.pop("l7policies", ())
        listener = self._one(fields, "listener_id", read_listener)
        if listener is None:
            return None
        found = [self._policy(one, listener, pools) for one in policies]
        faults = tuple(_misfits(listener, pools.get(listener.pool_id or ""), "default_pool_id"))
        if listener.id in self._open:
            # Whoever is to be kept out would come in.
            faults += (Fault("l7policies", "one that rejects requests cannot be served"),)
        if faults:
            self.refused[listener.id] = Unsupported(f"listener {listener.id}", faults)
            return None
        kept = [policy for policy in found if policy is not None]
        return replace(
            listener,
            pool_id=listener.pool_id if listener.pool_id in pools else None,
            policies=tuple(sorted(kept, key=lambda one: (one.position, one.id))),
        )

    def _policy(self, source: Any, listener: Listener, pools: Mapping[str, Pool]) -> Policy | None:
        """A policy with all its rules; without one of them it would match more than it should."""
        fields = plain(source)
        rules = fields.pop("rules", ())
        policy = self._one(fields, "l7policy_id", read_policy)
        if policy is None:
            if str(fields.get("l7policy_id", "")) in self.refused:
                self._left_out(fields, listener)
            return None
        before = set(self.refused)
        found = self.many(rules, "l7rule_id", read_rule)
        faults = tuple(
            Fault("rules", f"{name} cannot be served")
            for name in self.refused
            if name not in before
        )
        if not listener.protocol.reads_http:
            faults += (Fault("listener_id", f"a listener of {listener.protocol} has no policies"),)
        elif policy.action is Action.REDIRECT_TO_POOL:
            pool = pools.get(policy.pool_id or "")
            if pool is None:
                return None
            faults += tuple(_misfits(listener, pool, "redirect_pool_id"))
        if not faults:
            return replace(policy, rules=found)
        self.refused[policy.id] = Unsupported(f"L7 policy {policy.id}", faults)
        self._left_out(fields, listener)
        return None

    def _left_out(self, policy: Mapping[str, Any], listener: Listener) -> None:
        rejects = policy.get("action") == Action.REJECT and policy.get("admin_state_up", True)
        if rejects and listener.protocol.reads_http:
            self._open.add(listener.id)

    def _one(self, source: Any, id_field: str, read: Callable[[object], T]) -> T | None:
        name = str(plain(source).get(id_field, ""))
        if name in self._without:
            return None
        try:
            return read(source)
        except Unsupported as error:
            self.refused[name] = error
            return None


def pools_of(tree: object) -> Iterator[Any]:
    """Each pool of a tree once, wherever it stands in it."""
    top = plain(tree)
    seen: set[str] = set()
    nested = (plain(one).get("default_pool") for one in top.get("listeners", ()))
    for pool in (*top.get("pools", ()), *nested):
        name = plain(pool).get("pool_id") if is_set(pool) else None
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield pool


def _misfits(listener: Listener, pool: Pool | None, field: str) -> Iterator[Fault]:
    """What a listener and a pool each alone are right in and together are not."""
    if pool is None:
        return
    if pool.protocol not in _LEADS_TO[listener.protocol]:
        yield Fault(
            field, f"a listener of {listener.protocol} cannot lead to a pool of {pool.protocol}"
        )
    if (
        pool.persistence is not None
        and pool.persistence.type is not Sticky.SOURCE_IP
        and not listener.protocol.reads_http
    ):
        yield Fault(
            field,
            f"the pool's session persistence {pool.persistence.type} needs a listener that reads"
            " HTTP",
        )
