"""Makes HAProxy's file from a state: the template gives the skeleton, tokens the rest.

The text depends on its arguments alone: no time, no host name, no order of a set. Equal text
means that nothing is to be done. The digest of the text stands in the text (`proc.libra`), so a
running process can say which text it was started from.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libra_haproxy import downs, logsocket, tokens
from libra_haproxy.model import LoadBalancer, Model, Monitor, MonitorType, Protocol, Server, Tls
from libra_haproxy.tokens import Token

if TYPE_CHECKING:
    import jinja2

_NO_DIGEST = tokens.digest("0" * 16)

_POOL = tokens.words(tokens.keyword("sni"), tokens.variable("proc.libra"))
"""HAProxy keeps idle connections to a server under this value, which is another after each change:
else one that was in use while the server moved would be used again as if it led to the new place.
Without `ssl` nothing of it is sent."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the file says of its machine: where to listen, the sockets, the connection limit.

    `bind` holds IP addresses; with `::` IPv4 is served by the same socket. `certificates` is the
    directory of the certificates' files. `syslog` is the socket of a syslog that takes the access
    log in place of the keeper.
    """

    bind: tuple[str, ...]
    admin_socket: Path
    maxconn: int
    certificates: Path
    syslog: Path | None = None

    @property
    def log_socket(self) -> Path:
        """What access logs are sent to; without a syslog, the keeper's."""
        return self.syslog or self.admin_socket.with_name(logsocket.NAME)

    @property
    def downs(self) -> Path:
        """What a process that takes over reads first; beside the admin socket."""
        return self.admin_socket.with_name(downs.NAME)

    @property
    def peers_socket(self) -> Path:
        """Where a leaving process meets the one that comes; beside the admin socket."""
        return self.admin_socket.with_name("peers.sock")


@dataclass(frozen=True)
class Rendered:
    """HAProxy's file, the digest it carries, and its limit of connections."""

    text: str
    digest: str
    maxconn: int


def render(model: Model, *, suspended: bool, place: Place) -> Rendered:
    """Write the whole file for `model`; suspended load balancers are in it as `disabled`.

    Raises `tokens.BadToken` where a value does not fit its place, which is a fault of the caller.
    """
    text = _template().render(
        suspended=suspended,
        maxconn=tokens.number(place.maxconn, low=1),
        admin_socket=tokens.file(place.admin_socket),
        # HAProxy 2.6 crashes on a peers section that only disabled sections use.
        peers=not suspended and any(_by_source(lb) for lb in model.load_balancers),
        peers_socket=tokens.file(place.peers_socket),
        log_socket=tokens.file(place.log_socket),
        # syslog puts the machine's name into a line itself.
        log_format=tokens.keyword("local" if place.syslog else "rfc3164"),
        downs=tokens.file(place.downs),
        digest=_NO_DIGEST,
        load_balancers=[_view(lb, place) for lb in model.load_balancers],
    )
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()[: len(_NO_DIGEST)]
    marked = text.replace(f"str({_NO_DIGEST})", f"str({digest})", 1)
    return Rendered(marked, digest, place.maxconn)


@functools.cache
def _template() -> jinja2.Template:
    # Imported at its first use, which the amphora agent never has.
    from libra_haproxy.skeleton import environment

    return environment("libra_haproxy").get_template("haproxy.cfg.j2")


def _view(lb: LoadBalancer, place: Place) -> dict[str, Any]:
    """One load balancer as the template reads it: tokens, booleans and lists."""
    monitor = lb.monitor
    return {
        "http": lb.protocol is Protocol.HTTP,
        "mode": tokens.keyword(lb.protocol),
        "frontend": tokens.name(lb.frontend),
        "backend": tokens.name(lb.backend),
        "binds": [
            {"endpoint": tokens.endpoint(address, lb.port), "dual": address == "::"}
            for address in place.bind
        ],
        "tls": _tls(lb.tls, place.certificates) if lb.tls else None,
        "algorithm": tokens.keyword(lb.algorithm),
        "client_timeout": tokens.milliseconds(lb.timeouts.client),
        "server_timeout": tokens.milliseconds(lb.timeouts.server),
        "connect_timeout": tokens.milliseconds(lb.timeouts.connect),
        "retries": tokens.number(lb.retries, high=100),
        "sticky": lb.sticky,
        "check_timeout": tokens.seconds(monitor.timeout) if monitor else None,
        "check_uri": (
            tokens.uri(monitor.path) if monitor and monitor.type is MonitorType.HTTP else None
        ),
        "servers": [
            {
                "name": tokens.name(server.name),
                "words": server_words(lb, server),
                "disabled": not server.enabled,
            }
            for server in lb.servers
        ],
    }


def server_words(lb: LoadBalancer, server: Server) -> Token:
    """What stands behind a server's name, in the file and in `add server` alike.

    The runtime API inherits nothing (manual, 5.2), so every option is written out.
    """
    return tokens.words(
        tokens.endpoint(server.address, server.port),
        tokens.keyword("id"),
        tokens.number(server.number, low=1),
        tokens.keyword("weight"),
        tokens.number(server.weight, high=256),
        _check_words(lb.monitor),
        *([tokens.keyword("backup")] if server.backup else []),
        *([_POOL] if lb.protocol is Protocol.HTTP and lb.movable else []),
    )


def _tls(tls: Tls, certificates: Path) -> Token:
    """The words behind an address that make its clients speak TLS (manual, 5.1)."""
    return tokens.words(
        tokens.keyword("ssl"),
        tokens.keyword("crt"),
        tokens.file(certificates / f"{tokens.digest(tls.certificate.name)}.pem"),
        tokens.keyword("ssl-min-ver"),
        tokens.keyword(tls.oldest),
        *([tokens.keyword("alpn"), tokens.alpn(tls.alpn)] if tls.alpn else []),
    )


def _by_source(lb: LoadBalancer) -> bool:
    return lb.sticky and lb.protocol is Protocol.TCP


@functools.lru_cache(maxsize=64)
def _check_words(monitor: Monitor | None) -> Token:
    return tokens.words(tokens.keyword("check"), *_check(monitor))


def _check(monitor: Monitor | None) -> Iterator[Token]:
    """The words behind `check`: how often, and how many results change a server's state."""
    if monitor is None:
        # Looked at twice a minute, but once in doubt each second, so that a dead server is out
        # after two seconds of doubt and not after two rounds.
        yield from (tokens.keyword("inter"), tokens.seconds(30))
        yield from (tokens.keyword("fastinter"), tokens.seconds(1))
        attempts = tokens.number(2)
    else:
        yield from (tokens.keyword("inter"), tokens.seconds(monitor.delay))
        attempts = tokens.number(monitor.attempts, low=1)
    yield from (tokens.keyword("rise"), attempts, tokens.keyword("fall"), attempts)
