"""From Octavia's tree of a load balancer to the typed model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from libra_octavia.model import (
    Listener,
    LoadBalancer,
    Pool,
    PoolProtocol,
    Protocol,
    Sticky,
)
from libra_octavia.objects import (
    Fault,
    Unsupported,
    read_listener,
    read_member,
    read_monitor,
    read_pool,
    read_vip,
)
from libra_octavia.objects.fields import is_set, plain

T = TypeVar("T")

_LEADS_TO = {
    Protocol.HTTP: {PoolProtocol.HTTP, PoolProtocol.PROXY, PoolProtocol.PROXYV2},
    Protocol.HTTPS: {
        PoolProtocol.HTTPS,
        PoolProtocol.TCP,
        PoolProtocol.PROXY,
        PoolProtocol.PROXYV2,
    },
    Protocol.TCP: set(PoolProtocol),
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
    reading = _Reading(without)
    pools = {pool.id: pool for pool in map(reading.pool, pools_of(tree)) if pool is not None}
    listeners = reading.many(plain(tree).get("listeners", ()), "listener_id", read_listener)
    kept = []
    for listener in listeners:
        faults = tuple(_misfits(listener, pools.get(listener.pool_id or "")))
        if faults:
            reading.refused[listener.id] = Unsupported(f"listener {listener.id}", faults)
        else:
            leads = listener.pool_id in pools
            kept.append(listener if leads else replace(listener, pool_id=None))
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

    def __init__(self, without: Collection[str]) -> None:
        self.refused: dict[str, Unsupported] = {}
        self._without = without

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
        return replace(
            pool,
            members=self.many(members, "member_id", read_member),
            monitor=monitor and self._one(monitor, "healthmonitor_id", read_monitor),
        )

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


def _misfits(listener: Listener, pool: Pool | None) -> Iterator[Fault]:
    """What a listener and its pool each alone are right in and together are not."""
    if pool is None:
        return
    if pool.protocol not in _LEADS_TO[listener.protocol]:
        yield Fault(
            "default_pool_id",
            f"a listener of {listener.protocol} cannot lead to a pool of {pool.protocol}",
        )
    if (
        pool.persistence is not None
        and pool.persistence.type is not Sticky.SOURCE_IP
        and listener.protocol is not Protocol.HTTP
    ):
        yield Fault(
            "default_pool_id",
            f"the pool's session persistence {pool.persistence.type} needs a listener of HTTP",
        )
