"""From Octavia's tree of a load balancer to the typed model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

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
from libra_octavia.objects import Fault, Unsupported, read_listener, read_pool, read_vip
from libra_octavia.objects.fields import is_set, plain

T = TypeVar("T", Listener, Pool, Member, Monitor)

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


def translate(tree: object, *, without: Collection[str] = ()) -> LoadBalancer:
    """Give what a device is to serve.

    `tree` is what octavia-lib's `get_loadbalancer` returns; `without` holds the ids of objects
    that are being deleted, which the tree still shows. Raises Unsupported with every fault of
    every object, and for combinations of them that cannot be served.
    """
    faults: list[Fault] = []
    top = plain(tree)
    head = _read(read_vip, tree, faults)
    listeners = [
        listener
        for listener in (_read(read_listener, one, faults) for one in top.get("listeners", ()))
        if listener is not None
    ]
    pools = {
        pool.id: pool
        for pool in (_read(read_pool, one, faults) for one in pools_of(tree))
        if pool is not None
    }
    kept = [_emptied(pools[name], without) for name in pools if name not in without]
    found = LoadBalancer(
        id=head[0] if head else "",
        addresses=head[1] if head else (),
        enabled=head[2] if head else True,
        listeners=tuple(
            replace(one, pool_id=None) if one.pool_id in without else one
            for one in _kept(listeners, without)
        ),
        pools=tuple(kept),
    )
    faults += _combinations(found)
    if faults:
        raise Unsupported(f"load balancer {found.id}", tuple(faults))
    return found


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


def _emptied(pool: Pool, without: Collection[str]) -> Pool:
    monitor = pool.monitor if pool.monitor and pool.monitor.id not in without else None
    return replace(pool, members=_kept(pool.members, without), monitor=monitor)


def _kept(objects: Iterable[T], without: Collection[str]) -> tuple[T, ...]:
    return tuple(one for one in objects if one.id not in without)


def _read(read: Callable[[object], Any], source: object, faults: list[Fault]) -> Any:
    try:
        return read(source)
    except Unsupported as error:
        faults += (Fault(f"{error.what}: {fault.field}", fault.why) for fault in error.faults)
        return None


def _combinations(found: LoadBalancer) -> Iterator[Fault]:
    """What each object alone is right in and all together are not."""
    pools = {pool.id: pool for pool in found.pools}
    for listener in found.listeners:
        pool = pools.get(listener.pool_id or "")
        if pool is None:
            continue
        name = f"listener {listener.id}: default_pool_id"
        if pool.protocol not in _LEADS_TO[listener.protocol]:
            yield Fault(
                name, f"a listener of {listener.protocol} cannot lead to a pool of {pool.protocol}"
            )
        if (
            pool.persistence is not None
            and pool.persistence.type is not Sticky.SOURCE_IP
            and listener.protocol is not Protocol.HTTP
        ):
            yield Fault(
                name,
                f"the pool's session persistence {pool.persistence.type} needs a listener of HTTP",
            )
