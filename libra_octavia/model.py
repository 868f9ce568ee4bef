"""What a load balancer of Octavia is to a device: frozen, typed values with all defaults filled in.

Octavia's objects become these in `objects` and `translate`; `render` makes HAProxy's file from
them. A value that exists can be rendered.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from libra_octavia.l7 import Action, Policy
from libra_octavia.tls import ListenerTls, Pem, PoolTls

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Protocol(StrEnum):
    """What a listener speaks; HTTPS is passed through as it comes, PROMETHEUS gives metrics.

    HAProxy serves all but UDP and SCTP, which the kernel's IP_VS does, by keepalived.
    """

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    TERMINATED_HTTPS = "TERMINATED_HTTPS"
    PROMETHEUS = "PROMETHEUS"
    UDP = "UDP"
    SCTP = "SCTP"

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel's IP_VS serves it."""
        return self in (Protocol.UDP, Protocol.SCTP)

    @property
    def reads_http(self) -> bool:
        """Whether requests are looked into."""
        return self in (Protocol.HTTP, Protocol.TERMINATED_HTTPS, Protocol.PROMETHEUS)


class PoolProtocol(StrEnum):
    """What members speak; the two PROXY ones tell them the client's address first."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    PROXY = "PROXY"
    PROXYV2 = "PROXYV2"
    UDP = "UDP"
    SCTP = "SCTP"

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel's IP_VS spreads over its members."""
        return self in (PoolProtocol.UDP, PoolProtocol.SCTP)


class Algorithm(StrEnum):
    """How a member is chosen."""

    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_CONNECTIONS = "LEAST_CONNECTIONS"
    SOURCE_IP = "SOURCE_IP"
    SOURCE_IP_PORT = "SOURCE_IP_PORT"


class MonitorType(StrEnum):
    """What a health check does."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    PING = "PING"
    TCP = "TCP"
    TLS_HELLO = "TLS-HELLO"
    UDP_CONNECT = "UDP-CONNECT"
    SCTP = "SCTP"

    @property
    def by_kernel(self) -> bool:
        """Whether it is for members that the kernel's IP_VS spreads over, and for no others."""
        return self in (MonitorType.UDP_CONNECT, MonitorType.SCTP)


class Sticky(StrEnum):
    """By what a client stays with its member."""

    SOURCE_IP = "SOURCE_IP"
    HTTP_COOKIE = "HTTP_COOKIE"
    APP_COOKIE = "APP_COOKIE"


@dataclass(frozen=True, kw_only=True)
class Persistence:
    """How clients stay with a member; `cookie` is the application's, for APP_COOKIE alone.

    `timeout`, in seconds, and `granularity` are for UDP and SCTP alone: clients of one network stay
    together, which is the version and the length of its prefix.
    """

    type: Sticky
    cookie: str | None = None
    timeout: int | None = None
    granularity: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A health monitor. Times are in seconds.

    `codes` are ranges of HTTP statuses, both ends included, of which one is expected.
    """

    id: str
    type: MonitorType
    delay: int
    timeout: int
    rise: int
    fall: int
    enabled: bool = True
    method: str = "GET"
    path: str = "/"
    codes: tuple[tuple[int, int], ...] = ((200, 200),)
    http_version: str = "1.0"
    domain: str | None = None

    @property
    def asks_http(self) -> bool:
        """Whether a page is asked for."""
        return self.type in (MonitorType.HTTP, MonitorType.HTTPS)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member: where it is, how much it gets, where it is checked if not there.

    `subnet` is where the device needs a port to reach it, None for wherever routes lead.
    """

    id: str
    address: str
    port: int
    weight: int = 1
    backup: bool = False
    enabled: bool = True
    monitor_address: str | None = None
    monitor_port: int | None = None
    subnet: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Members and how one is chosen."""

    id: str
    protocol: PoolProtocol
    algorithm: Algorithm
    enabled: bool = True
    members: tuple[Member, ...] = ()
    monitor: Monitor | None = None
    persistence: Persistence | None = None
    tls: PoolTls | None = None


class Header(StrEnum):
    """Headers that are told to members, but for X-Forwarded-Port."""

    FORWARDED_FOR = "X-Forwarded-For"
    FORWARDED_PROTO = "X-Forwarded-Proto"
    FORWARDED_IP = "X-Forwarded-IP"
    CLIENT_IP = "X-Client-IP"
    REAL_IP = "X-Real-IP"
    SSL_VERIFY = "X-SSL-Client-Verify"
    SSL_HAS_CERT = "X-SSL-Client-Has-Cert"
    SSL_DN = "X-SSL-Client-DN"
    SSL_CN = "X-SSL-Client-CN"
    SSL_ISSUER = "X-SSL-Issuer"
    SSL_SHA1 = "X-SSL-Client-SHA1"
    SSL_NOT_BEFORE = "X-SSL-Client-Not-Before"
    SSL_NOT_AFTER = "X-SSL-Client-Not-After"

    @property
    def of_tls(self) -> bool:
        """Whether it tells of a client's certificate."""
        return self.value.startswith("X-SSL-")


@dataclass(frozen=True, kw_only=True)
class StrictTransport:
    """What browsers are told about coming by TLS alone (RFC 6797); `max_age` is in seconds."""

    max_age: int
    subdomains: bool = False
    preload: bool = False


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A port that clients come to. Times are in milliseconds; no `connections` means no limit.

    `policies` are in the order of their positions. `forwarded_port` is the port that members are
    told. Clients come from the networks of `allowed`, from everywhere where there are none.
    """

    id: str
    protocol: Protocol
    port: int
    enabled: bool = True
    pool_id: str | None = None
    connections: int | None = None
    timeout_client: int = 50_000
    timeout_connect: int = 5_000
    timeout_member: int = 50_000
    timeout_inspect: int = 0
    policies: tuple[Policy, ...] = ()
    headers: tuple[Header, ...] = ()
    forwarded_port: int | None = None
    allowed: tuple[Network, ...] = ()
    tls: ListenerTls | None = None
    strict_transport: StrictTransport | None = None


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """A load balancer: the addresses that clients come to, its listeners and its pools.

    Pools that no listener uses are among them.
    """

    id: str
    addresses: tuple[str, ...]
    enabled: bool = True
    listeners: tuple[Listener, ...] = ()
    pools: tuple[Pool, ...] = ()

    @property
    def serving(self) -> tuple[tuple[Listener, Pool | None], ...]:
        """The listeners that take connections, each with the pool that it leads to."""
        if not self.enabled:
            return ()
        pools = {pool.id: pool for pool in self.pools if pool.enabled}
        return tuple(
            (listener, pools.get(listener.pool_id or ""))
            for listener in self.listeners
            if listener.enabled
        )

    @property
    def by_haproxy(self) -> tuple[tuple[Listener, Pool | None], ...]:
        """Those of the listeners that take connections that HAProxy serves."""
        return tuple(pair for pair in self.serving if not pair[0].protocol.by_kernel)

    @property
    def by_kernel(self) -> tuple[tuple[Listener, Pool | None], ...]:
        """Those that the kernel's IP_VS serves."""
        return tuple(pair for pair in self.serving if pair[0].protocol.by_kernel)

    def behind(self, listener: Listener) -> tuple[Pool, ...]:
        """The pools that a listener leads to, each once, those by its policies among them."""
        led_to = {
            policy.pool_id
            for policy in listener.policies
            if policy.action is Action.REDIRECT_TO_POOL and policy.in_force
        }
        return tuple(
            pool
            for pool in self.pools
            if pool.enabled and (pool.id == listener.pool_id or pool.id in led_to)
        )

    @property
    def pems(self) -> tuple[Pem, ...]:
        """The files of certificates that serving needs, each once."""
        found = [
            pem
            for listener, _ in self.serving
            for tls in (listener.tls, *(pool.tls for pool in self.behind(listener)))
            if tls is not None
            for pem in tls.pems
        ]
        return tuple({pem.name: pem for pem in found}.values())
