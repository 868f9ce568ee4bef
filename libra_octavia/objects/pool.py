"""Pools, and how clients stay with a member."""

from __future__ import annotations

import re

from libra_octavia.model import Algorithm, Persistence, Pool, PoolProtocol, Sticky
from libra_octavia.objects import lvs, tls
from libra_octavia.objects.fields import Fields
from libra_octavia.objects.member import read_member
from libra_octavia.objects.monitor import read_monitor

_MEANINGLESS = ("name", "description", "project_id", "loadbalancer_id", "listener_id")
_COOKIE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
_COOKIES_FOR = (PoolProtocol.HTTP, PoolProtocol.PROXY, PoolProtocol.PROXYV2)


def read_pool(source: object, *, whole: bool = True) -> Pool:
    """A pool with its members and its monitor. Raises Unsupported.

    `whole` is False for one that is put together from an update and what Octavia tells of the
    pool before, where its certificates may be missing.
    """
    with Fields.of(source, "pool", "pool_id") as fields:
        fields.ignore(*_MEANINGLESS)
        spoken = None
        if fields.flag("tls_enabled", default=False):
            spoken = tls.read_pool_tls(fields, whole=whole)
        else:
            # Kept for when it is enabled; without TLS they say nothing.
            fields.ignore(*tls.SPOKEN)
            for name in tls.OF_POOLS:
                fields.ignore(*tls.of_container(name))
        protocol = fields.word("protocol", PoolProtocol, refused={}, default=PoolProtocol.TCP)
        if spoken is not None and protocol.by_kernel:
            fields.fault("tls_enabled", f"is not possible for a pool of {protocol}")
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
        if persistence is not None and not protocol.by_kernel:
            for name, value in (
                ("timeout", persistence.timeout),
                ("granularity", persistence.granularity),
            ):
                if value is not None:
                    field = f"session_persistence.persistence_{name}"
                    fields.fault(field, "is for pools of UDP and SCTP alone")
        monitor = fields.inner("healthmonitor", read_monitor)
        for fault in lvs.monitor_faults(protocol, monitor) if monitor else ():
            fields.fault(f"healthmonitor.{fault.field}", fault.why)
        return Pool(
            id=fields.id("pool_id"),
            protocol=protocol,
            algorithm=fields.word(
                "lb_algorithm",
                Algorithm,
                refused={},
                default=Algorithm.ROUND_ROBIN,
            ),
            enabled=fields.flag("admin_state_up", default=True),
            members=fields.inners("members", read_member),
            monitor=monitor,
            persistence=persistence,
            tls=spoken,
        )


def read_persistence(source: object) -> Persistence:
    """How clients stay with a member. Raises Unsupported."""
    with Fields.of(source, "session_persistence", "type") as fields:
        timeout, granularity = lvs.read_stay(fields)
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
        return Persistence(type=sticky, cookie=cookie, timeout=timeout, granularity=granularity)
