"""Makes HAProxy's file from the model: the template gives the skeleton, tokens all else.

Listeners of UDP and SCTP are not in it (`render_lvs`).

The text depends on its arguments alone, so equal text means that nothing is to be done. Frontends
bear the ids of listeners, servers those of members, and backends `<pool>:<listener>`, by which a
device's heartbeats name them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import jinja2

from libra_haproxy import tokens
from libra_haproxy.skeleton import environment
from libra_haproxy.tokens import Token
from libra_octavia import render_l7, render_tls, words
from libra_octavia.files import CERTIFICATES, list_name
from libra_octavia.model import (
    Algorithm,
    Listener,
    LoadBalancer,
    Member,
    Monitor,
    MonitorType,
    Pool,
    PoolProtocol,
    Protocol,
    Sticky,
)

_BALANCE = {
    Algorithm.ROUND_ROBIN: tokens.keyword("roundrobin"),
    Algorithm.LEAST_CONNECTIONS: tokens.keyword("leastconn"),
    Algorithm.SOURCE_IP: tokens.keyword("source"),
    Algorithm.SOURCE_IP_PORT: words.BY_SOURCE_PORT,
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the file says of its device: the most connections, its name among peers, its folder.

    `peer` is HAProxy's name of the device (its `-L`), with an address and port of the device's
    own where a leaving process meets the one that comes; None for none, and then clients lose
    their member at a reload unless a cookie of ours tells it. `certificates` is the folder of the
    certificates of all load balancers, as `files` has it.
    """

    maxconn: int = 50_000
    peer: tuple[str, str, int] | None = None
    certificates: PurePosixPath = CERTIFICATES


def render(balancer: LoadBalancer, place: Place) -> str:
    """Write the whole file. Without a listener that serves there is nothing to run: empty.

    It names the files that `files` gives, which must be there when it is read. Raises
    `tokens.BadToken` where a value does not fit its place, which is a fault of the caller.
    """
    folder = place.certificates / balancer.id
    listeners = [_listener(balancer, listener, folder) for listener, _ in balancer.by_haproxy]
    if not listeners:
        return ""
    pools = [pool for listener, _ in balancer.by_haproxy for pool in balancer.behind(listener)]
    return _template().render(
        maxconn=tokens.number(place.maxconn, low=1),
        pings=any(_checks(pool) is MonitorType.PING for pool in pools),
        peer=_peer(place) if any(_has_table(pool) for pool in pools) else None,
        metrics=any(one.protocol is Protocol.PROMETHEUS for one, _ in balancer.by_haproxy),
        listeners=listeners,
    )


def _peer(place: Place) -> dict[str, Token] | None:
    if place.peer is None:
        return None
    name, address, port = place.peer
    return {"name": tokens.proxy(name), "endpoint": tokens.endpoint(address, port)}


def _listener(balancer: LoadBalancer, listener: Listener, folder: PurePosixPath) -> dict[str, Any]:
    pools = balancer.behind(listener)
    names = {pool.id: tokens.proxy(f"{pool.id}:{listener.id}") for pool in pools}
    hsts = listener.strict_transport
    return {
        "name": tokens.name(listener.id),
        "mode": tokens.keyword("http" if listener.protocol.reads_http else "tcp"),
        "http": listener.protocol.reads_http,
        "metrics": listener.protocol is Protocol.PROMETHEUS,
        "binds": [
            tokens.words(tokens.endpoint(address, listener.port), *_bound(listener, folder))
            for address in balancer.addresses
        ],
        "maxconn": tokens.number(listener.connections, low=1) if listener.connections else None,
        "timeout_client": tokens.milliseconds(listener.timeout_client),
        "timeout_connect": tokens.milliseconds(listener.timeout_connect),
        "timeout_member": tokens.milliseconds(listener.timeout_member),
        "inspect": (
            tokens.milliseconds(listener.timeout_inspect) if listener.timeout_inspect else None
        ),
        "allowed": [words.network(found) for found in listener.allowed],
        "source_port": (
            words.SOURCE_PORT
            if any(pool.algorithm is Algorithm.SOURCE_IP_PORT for pool in pools)
            else None
        ),
        "requests": render_l7.requests(listener, names),
        "strict_transport": render_tls.strict_transport(hsts) if hsts else None,
        "default": names.get(listener.pool_id or ""),
        "headers": render_l7.headers(listener),
        "backends": [_backend(listener, pool, names[pool.id], folder) for pool in pools],
    }


def _bound(listener: Listener, folder: PurePosixPath) -> Iterator[Token]:
    if listener.tls is not None:
        yield from render_tls.bound(listener.tls, list_name(listener), folder)


def _backend(listener: Listener, pool: Pool, name: Token, folder: PurePosixPath) -> dict[str, Any]:
    sticky = pool.persistence.type if pool.persistence else None
    own_cookie = sticky is Sticky.HTTP_COOKIE
    numbers = _numbers(pool.members)
    speech = _speech(listener, pool, folder)
    return {
        "name": name,
        "algorithm": _BALANCE[pool.algorithm],
        "hashed": pool.algorithm in (Algorithm.SOURCE_IP, Algorithm.SOURCE_IP_PORT),
        "sticks_to_source": sticky is Sticky.SOURCE_IP,
        "own_cookie": own_cookie,
        "cookie": (
            [words.sample(fetch, pool.persistence.cookie) for fetch in ("res.cook", "req.cook")]
            if pool.persistence and sticky is Sticky.APP_COOKIE
            else None
        ),
        "check": _check(pool.monitor) if pool.monitor and pool.monitor.enabled else None,
        "servers": [
            tokens.words(
                *_server(pool, member, numbers[member.id], cookie=own_cookie),
                *speech,
                *_state(member),
            )
            for member in pool.members
        ],
    }


def _server(pool: Pool, member: Member, number: int, *, cookie: bool) -> Iterator[Token]:
    yield tokens.name(member.id)
    yield tokens.endpoint(member.address, member.port)
    yield from (tokens.keyword("id"), tokens.number(number, low=1))
    yield from (tokens.keyword("weight"), tokens.number(member.weight, high=256))
    if cookie:
        yield from (tokens.keyword("cookie"), tokens.name(member.id))
    if pool.monitor and pool.monitor.enabled:
        yield from _check_words(pool, pool.monitor, member)


def _speech(listener: Listener, pool: Pool, folder: PurePosixPath) -> tuple[Token, ...]:
    """What members are spoken to in, the same for each."""
    found: list[Token] = []
    if pool.protocol is PoolProtocol.PROXY:
        found.append(tokens.keyword("send-proxy"))
    elif pool.protocol is PoolProtocol.PROXYV2:
        # Where TLS ends here, members are told of the client's certificate too.
        found.append(tokens.keyword("send-proxy-v2-ssl-cn" if listener.tls else "send-proxy-v2"))
    if pool.tls is not None:
        checked = pool.monitor is not None and pool.monitor.enabled
        found += render_tls.towards(pool.tls, folder, checked=checked)
    return tuple(found)


def _state(member: Member) -> Iterator[Token]:
    if member.backup:
        yield tokens.keyword("backup")
    if not member.enabled:
        yield tokens.keyword("disabled")


def _check_words(pool: Pool, monitor: Monitor, member: Member) -> Iterator[Token]:
    yield tokens.keyword("check")
    if monitor.type is MonitorType.HTTPS:
        yield tokens.keyword("check-ssl")
        if pool.tls is None:
            yield from (tokens.keyword("verify"), tokens.keyword("none"))
    yield from (tokens.keyword("inter"), tokens.seconds(monitor.delay))
    yield from (tokens.keyword("rise"), tokens.number(monitor.rise, low=1))
    yield from (tokens.keyword("fall"), tokens.number(monitor.fall, low=1))
    if member.monitor_address:
        yield from (tokens.keyword("addr"), words.address(member.monitor_address))
    if member.monitor_port:
        yield from (tokens.keyword("port"), tokens.number(member.monitor_port, high=65535))


def _check(monitor: Monitor) -> dict[str, Any]:
    return {
        "timeout": tokens.seconds(monitor.timeout),
        "http": monitor.asks_http,
        "hello": monitor.type is MonitorType.TLS_HELLO,
        "ping": monitor.type is MonitorType.PING,
        "method": tokens.keyword(monitor.method),
        "uri": tokens.uri(monitor.path),
        "version11": monitor.http_version == "1.1",
        "host": tokens.proxy(monitor.domain) if monitor.domain else None,
        "codes": words.statuses(monitor.codes),
    }


def _numbers(members: Sequence[Member]) -> dict[str, int]:
    """HAProxy's own ids of servers: the same ones in each file that a member is in.

    Without them a file of many servers is slow to read. Two that are given the same by their
    names are told apart in the order of their names.
    """
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(member.id for member in members):
        wanted = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1
        while wanted in taken or wanted == 0:
            wanted = wanted % (2**31 - 1) + 1
        taken.add(wanted)
        numbers[name] = wanted
    return numbers


def _checks(pool: Pool) -> MonitorType | None:
    return pool.monitor.type if pool.monitor and pool.monitor.enabled else None


def _has_table(pool: Pool) -> bool:
    return pool.persistence is not None and pool.persistence.type is not Sticky.HTTP_COOKIE


@functools.cache
def _template() -> jinja2.Template:
    return environment("libra_octavia").get_template("haproxy.cfg.j2")
