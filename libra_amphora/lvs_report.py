"""What is said of UDP and SCTP listeners, their pools and members. Pure.

The words are those that Octavia's controller understands: a member is UP or, unchecked, `no
check`; DOWN where keepalived took it out of the kernel; DRAIN with weight 0; MAINT where it is
disabled. A pool's name in heartbeats is its bare id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from libra_amphora.ip_vs import Key, Row, Table
from libra_amphora.lvs_config import LvsConfig, Place
from libra_amphora.lvs_ways import Way, asked, fits
from libra_amphora.snapshot import Listener, Member, Pool, Snapshot, Traffic


@dataclass(frozen=True, kw_only=True)
class View:
    """What is known of one listener."""

    id: str
    config: LvsConfig
    should_run: bool
    runs: bool


def status(view: View) -> dict[str, str]:
    """ACTIVE, STOPPED or ERROR, with id and type."""
    word = "ERROR"
    if not view.should_run or not view.config.enabled:
        word = "STOPPED"
    elif view.runs:
        word = "ACTIVE"
    return {"status": word, "uuid": view.id, "type": _type(view.config)}


def in_force(config: LvsConfig, table: Table, ways: Mapping[Key, Way]) -> bool:
    """Whether the kernel has each service, and just its members but for those that are down."""
    for service in config.services:
        wanted = {server.place: server.weight for server in service.servers}
        for place in service.places:
            way = ways.get((service.protocol, place))
            if way is None or not fits(asked(service.settings, place[0].version), way):
                return False
            rows = table.get((service.protocol, place))
            if rows is None or any(wanted.get(one) != row.weight for one, row in rows.items()):
                return False
            if not config.checked and rows.keys() != wanted.keys():
                return False
    return True


def snapshot(
    views: Sequence[View],
    *,
    table: Table,
    traffic: Mapping[Key, Traffic],
    total: Callable[[str, Key, Traffic], Traffic],
) -> Snapshot:
    """All of them; `total` makes what the kernel counts into what only grows."""
    listeners, pools = [], []
    for view in views:
        config = view.config
        if not config.enabled:
            continue
        counted = Traffic()
        for service in config.services:
            for place in service.places:
                key = (service.protocol, place)
                counted = _sum(counted, total(view.id, key, traffic.get(key, Traffic())))
                rows = table.get(key, {}).values()
                active = sum(row.active for row in rows)
                counted = replace(counted, connections=counted.connections + active)
        serves = view.should_run and view.runs
        listeners.append(
            Listener(
                id=view.id,
                loadbalancer_id=config.balancer or view.id,
                type=_type(config),
                status="OPEN" if serves else "",
                traffic=counted,
            )
        )
        if serves and config.pool:
            pools.append(_pool(view.id, config, table))
    return Snapshot(listeners=tuple(listeners), pools=tuple(pools))


def _pool(listener: str, config: LvsConfig, table: Table) -> Pool:
    members = [Member(id=id_, status="MAINT") for id_ in config.disabled]
    there = False
    for service in config.services:
        rows: dict[Place, Row] = {}
        for place in service.places:
            rows |= table.get((service.protocol, place), {})
        there = there or bool(rows)
        members += [
            Member(id=server.id, status=_member(rows.get(server.place), checked=config.checked))
            for server in service.servers
            if server.id
        ]
    down = config.checked and not there and any(service.servers for service in config.services)
    return Pool(
        id=config.pool,
        listener_id=listener,
        backend=config.pool,
        status="DOWN" if down else "UP",
        members=tuple(members),
    )


def _member(row: Row | None, *, checked: bool) -> str:
    if row is None:
        return "DOWN" if checked else "no check"
    if row.weight == 0:
        return "DRAIN"
    return "UP" if checked else "no check"


def _sum(one: Traffic, other: Traffic) -> Traffic:
    return Traffic(
        bytes_in=one.bytes_in + other.bytes_in,
        bytes_out=one.bytes_out + other.bytes_out,
        connections=one.connections,
        total_connections=one.total_connections + other.total_connections,
    )


def _type(config: LvsConfig) -> str:
    return config.services[0].protocol if config.services else "UDP"
