"""Makes keepalived's file of one listener of UDP or SCTP: what the kernel's IP_VS is to do.

The text depends on its arguments alone. Comments say which listener, pool and member is meant, in
the words of Octavia's controller, by which a device names them in its heartbeats. Each address has
a virtual server of its own where the pool has members of its family: for a group of addresses,
which Octavia writes, keepalived 2.2 heeds no granularity.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

import jinja2

from libra_haproxy import tokens
from libra_haproxy.skeleton import environment
from libra_haproxy.tokens import Token
from libra_octavia import lvs_words
from libra_octavia.model import (
    Algorithm,
    Listener,
    LoadBalancer,
    Member,
    Monitor,
    MonitorType,
    Persistence,
    Pool,
)

_SCHEDULERS = {
    Algorithm.ROUND_ROBIN: tokens.keyword("wrr"),
    Algorithm.LEAST_CONNECTIONS: tokens.keyword("wlc"),
    Algorithm.SOURCE_IP: tokens.keyword("sh"),
    Algorithm.SOURCE_IP_PORT: tokens.keyword("sh"),
}
_FLAGS = {Algorithm.SOURCE_IP_PORT: (tokens.keyword("sh-port"),)}
_STAY_SECONDS = 360
_WHOLE = {4: 32, 6: 128}


def render_lvs(balancer: LoadBalancer) -> dict[str, str]:
    """Write the file of each listener that the kernel serves, by the listeners' ids.

    Raises `tokens.BadToken` where a value does not fit its place, which is a fault of the caller.
    """
    return {listener.id: _text(balancer, listener, pool) for listener, pool in balancer.by_kernel}


def _text(balancer: LoadBalancer, listener: Listener, pool: Pool | None) -> str:
    monitor = pool.monitor if pool and pool.monitor and pool.monitor.enabled else None
    return _template().render(
        balancer=tokens.name(balancer.id),
        listener=tokens.name(listener.id),
        protocol=tokens.keyword(listener.protocol),
        limit=tokens.number(listener.connections, low=1) if listener.connections else None,
        pool=tokens.name(pool.id) if pool else None,
        monitor=tokens.name(monitor.id) if monitor else None,
        times=_times(monitor) if monitor else None,
        disabled=[tokens.name(one.id) for one in (pool.members if pool else ()) if not one.enabled],
        services=list(_services(balancer.addresses, listener, pool, monitor)) if pool else [],
    )


def _services(
    addresses: Sequence[str], listener: Listener, pool: Pool, monitor: Monitor | None
) -> Iterator[dict[str, Any]]:
    for address in addresses:
        version = _version(address)
        members = [one for one in pool.members if one.enabled and _version(one.address) == version]
        if members:
            yield {
                "place": lvs_words.place(address, listener.port),
                "scheduler": _SCHEDULERS[pool.algorithm],
                "flags": _FLAGS.get(pool.algorithm, ()),
                "stays": _stays(pool.persistence, version) if pool.persistence else None,
                "members": [_member(one, monitor) for one in members],
            }


def _stays(persistence: Persistence, version: int) -> dict[str, Token]:
    """How clients stay; a granularity of the other family says nothing, and each is by itself."""
    length = _WHOLE[version]
    if persistence.granularity is not None and persistence.granularity[0] == version:
        length = persistence.granularity[1]
    return {
        "seconds": tokens.number(persistence.timeout or _STAY_SECONDS, low=1),
        "mask": lvs_words.mask(version, length),
    }


def _times(monitor: Monitor) -> dict[str, Token | None]:
    # A program ends by itself at its own deadline, and is not to be ended just before.
    longer = monitor.type.by_kernel
    return {
        "delay": tokens.number(monitor.delay, low=1),
        "retries": _retries(monitor),
        "timeout": tokens.number(monitor.timeout + longer, low=1),
    }


def _retries(monitor: Monitor) -> Token | None:
    """How often a member is asked again that has failed once.

    keepalived takes no 0; by itself it asks again once, but none that a program asks.
    """
    if monitor.fall == 1 and monitor.type.by_kernel:
        return None
    return tokens.number(max(1, monitor.fall - 1))


def _member(member: Member, monitor: Monitor | None) -> dict[str, Any]:
    address = member.monitor_address or member.address
    port = member.monitor_port or member.port
    return {
        "id": tokens.name(member.id),
        "place": lvs_words.place(member.address, member.port),
        "weight": tokens.number(member.weight, high=256),
        "program": _program(monitor, lvs_words.place(address, port)) if monitor else None,
        "http": _http(monitor) if monitor and monitor.type is MonitorType.HTTP else None,
        "check": (
            {"address": lvs_words.address(address), "port": lvs_words.port(port)}
            if monitor
            else None
        ),
    }


def _program(monitor: Monitor, where: Token) -> Token | None:
    match monitor.type:
        case MonitorType.UDP_CONNECT:
            return lvs_words.udp_check(where)
        case MonitorType.SCTP:
            return lvs_words.sctp_check(monitor.timeout, where)
    return None


def _http(monitor: Monitor) -> dict[str, Token | None]:
    return {
        "version": tokens.name(monitor.http_version),
        "path": lvs_words.path(monitor.path),
        "codes": lvs_words.statuses(monitor.codes),
        "host": lvs_words.host(monitor.domain) if monitor.domain else None,
    }


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


@functools.cache
def _template() -> jinja2.Template:
    return environment("libra_octavia").get_template("keepalived.conf.j2")
