"""What a load balancer is, in the engine's own terms: frozen values without behaviour.

A door (worker, provider) translates its messages into a `Model`; everything behind it is made
from this alone. Names and labels of customers are not in here except where an answer needs them
again, and those never reach HAProxy's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Protocol(StrEnum):
    """What the listener speaks; its value is the word for HAProxy's `mode`."""

    HTTP = "http"
    TCP = "tcp"


class Algorithm(StrEnum):
    """How a server is chosen; the value is HAProxy's `balance` word (manual, 4.2 balance)."""

    ROUND_ROBIN = "roundrobin"
    LEAST_CONNECTIONS = "leastconn"


class MonitorType(StrEnum):
    """What a health check does: open a connection, or also ask for a page."""

    CONNECT = "connect"
    HTTP = "http"


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A health monitor: checks each `delay` seconds, failed after `timeout` seconds.

    `attempts` checks in a row change a server's state, in both directions. `path` is asked for by
    the HTTP type.
    """

    type: MonitorType
    delay: int
    timeout: int
    attempts: int
    path: str = "/"


@dataclass(frozen=True, kw_only=True)
class Server:
    """One member: where it is and how much it gets.

    `node_id` names it to people and in the cookie (`id-<node_id>`), and is given back as it came,
    number or text; None lets the engine choose a number that no other member has. `number` is
    HAProxy's own id of the server, given by `numbering.assign` and never reused in its backend; 0
    means not assigned yet.
    """

    address: str
    port: int
    node_id: int | str | None = None
    number: int = 0
    weight: int = 1
    enabled: bool = True
    backup: bool = False

    @property
    def name(self) -> str:
        """Its name in HAProxy, which is also its cookie value."""
        return f"id-{self.node_id}"


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long each side may be silent, in milliseconds."""

    client: int = 30_000
    server: int = 30_000
    connect: int = 30_000


class Alpn(StrEnum):
    """What may be spoken over TLS, in the words of RFC 7301."""

    H2 = "h2"
    HTTP_1_1 = "http/1.1"


class TlsVersion(StrEnum):
    """A version of TLS in HAProxy's words (manual, 5.1 ssl-min-ver)."""

    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What is known of a certificate without its key, which is kept apart (`certificates.py`).

    `name` is made of all its content, `leaf` is the SHA-1 fingerprint of the server's own
    certificate in upper-case hexadecimal, by which HAProxy tells what it serves.
    """

    name: str
    leaf: str


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How a listener ends TLS: with which certificate, from which version on, to speak what.

    `alpn` is in order of preference; none leaves it to the client.
    """

    certificate: Certificate
    alpn: tuple[Alpn, ...] = (Alpn.H2, Alpn.HTTP_1_1)
    oldest: TlsVersion = TlsVersion.TLS_1_2


MOST_MOVABLE = 1000
"""Above this the words that let servers move cost more at each start than a reload at a move."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancer:
    """One listener with its pool of servers.

    `sticky` keeps a client on its server (a cookie for HTTP, the source address for TCP).
    `retries` counts further attempts to connect. With `tls` clients speak TLS to it. `label` is
    the owner's own id of it, for answers and archives only.
    """

    protocol: Protocol
    port: int
    servers: tuple[Server, ...]
    algorithm: Algorithm = Algorithm.ROUND_ROBIN
    monitor: Monitor | None = None
    timeouts: Timeouts = Timeouts()
    retries: int = 3
    sticky: bool = True
    tls: Tls | None = None
    label: str | None = None

    @property
    def frontend(self) -> str:
        """The name of its frontend section; `http-in` and `tcp-in` as ever."""
        return f"{self.protocol}-in"

    @property
    def movable(self) -> bool:
        """Whether its servers may move while HAProxy runs."""
        return self.protocol is Protocol.TCP or len(self.servers) <= MOST_MOVABLE

    @property
    def backend(self) -> str:
        """The name of its backend section; `http-servers` and `tcp-servers` as ever."""
        return f"{self.protocol}-servers"


@dataclass(frozen=True, kw_only=True)
class Model:
    """All load balancers of one HAProxy, at most one of each protocol."""

    load_balancers: tuple[LoadBalancer, ...]


class Status(StrEnum):
    """What the owner last asked for. NONE: nothing was ever made here."""

    NONE = "NONE"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What went through one listener in its whole life, in bytes and sessions."""

    bytes_in: int
    bytes_out: int
    sessions: int


@dataclass(frozen=True, kw_only=True)
class State:
    """The truth of one Instance, as it is stored: a model and what is wanted of it.

    `generation` counts stored changes; `sender_generation` is the highest number that a sender
    put on a configuration of its own, below which none is applied. `next_numbers` holds, for
    each protocol, the lowest server number that was never given out. `traffic` is kept of a load
    balancer that was deleted.
    """

    status: Status = Status.NONE
    generation: int = 0
    sender_generation: int | None = None
    model: Model | None = None
    next_numbers: Mapping[Protocol, int] = field(default_factory=dict)
    traffic: Mapping[Protocol, Traffic] = field(default_factory=dict)

    @property
    def suspended(self) -> bool:
        """Whether the load balancers are to refuse traffic."""
        return self.status is Status.SUSPENDED
