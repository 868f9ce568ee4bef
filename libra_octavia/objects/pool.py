"""Pools, and how clients stay with a member."""

from __future__ import annotations

import re

from libra_octavia.model import Algorithm, Persistence, Pool, PoolProtocol, Sticky
from libra_octavia.objects.fields import Fields
from libra_octavia.objects.member import read_member
from libra_octavia.objects.monitor import read_monitor

_MEANINGLESS = ("name", "description", "project_id", "loadbalancer_id", "listener_id")
_OF_TLS = ("tls_versions", "tls_ciphers", "alpn_protocols")
_COOKIE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
_PROTOCOLS_REFUSED = {
    "UDP": "is not balanced by this provider, which speaks TCP",
    "SCTP": "is not balanced by this provider, which speaks TCP",
}
_ALGORITHMS_REFUSED = {"SOURCE_IP_PORT": "is for UDP, which this provider does not balance"}
_COOKIES_FOR = (PoolProtocol.HTTP, PoolProtocol.PROXY, PoolProtocol.PROXYV2)


def read_pool(source: object) -> Pool:
    """A pool with its members and its monitor, whole. Raises Unsupported."""
    with Fields.of(source, "pool", "pool_id") as fields:
        fields.ignore(*_MEANINGLESS)
        if not fields.flag("tls_enabled", default=False):
            # The API fills these in by itself, and without TLS they say nothing.
            fields.ignore(*_OF_TLS)
        else:
            fields.fault("tls_enabled", "TLS to members is not supported by this provider yet")
        protocol = fields.word(
            "protocol", PoolProtocol, refused=_PROTOCOLS_REFUSED, default=PoolProtocol.TCP
        )
        persistence = fields.inner("session_persistence", read_persistence)
        if (
            persistence is not None
            and persistence.type is not Sticky.SOURCE_IP
            and protocol not in _COOKIES_FOR
        ):
            fields.fault(
                "session_persistence",
                f"{persistence.type} needs HTTP, and the pool's protocol is {protocol}",
            )
        return Pool(
            id=fields.id("pool_id"),
            protocol=protocol,
            algorithm=fields.word(
                "lb_algorithm",
                Algorithm,
                refused=_ALGORITHMS_REFUSED,
                default=Algorithm.ROUND_ROBIN,
            ),
            enabled=fields.flag("admin_state_up", default=True),
            members=fields.inners("members", read_member),
            monitor=fields.inner("healthmonitor", read_monitor),
            persistence=persistence,
        )


def read_persistence(source: object) -> Persistence:
    """How clients stay with a member. Raises Unsupported."""
    with Fields.of(source, "session_persistence", "type") as fields:
        for name in ("persistence_timeout", "persistence_granularity"):
            if fields.raw(name) is not None:
                fields.fault(name, "is for UDP, which this provider does not balance")
        sticky = fields.word("type", Sticky, refused={}, default=Sticky.SOURCE_IP)
        cookie: str | None = None
        if sticky is Sticky.APP_COOKIE:
            cookie = fields.text(
                "cookie_name",
                _COOKIE,
                "must be 1 to 64 letters, digits, dots, hyphens and underscores",
                default="",
            )
        elif fields.raw("cookie_name"):
            fields.fault("cookie_name", "is for APP_COOKIE alone")
        return Persistence(type=sticky, cookie=cookie)
