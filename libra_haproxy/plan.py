"""Decides how a running HAProxy gets from one state to the next. Pure.

The invariant: a plan that is carried out on a process that serves `old` leaves it serving exactly
what a fresh start from `new` would serve - the same servers under the same numbers at the same
addresses with the same weights, each in use or in maintenance, and the same frontends open. What
cannot keep it is a reload.

At run time (manual, 9.3): servers come, go, move, change their weight, and are put in and out of
use; a certificate is exchanged for another; frontends are closed and opened. Everything else
(ports, protocols, algorithms, monitors, timeouts, backup flags) is fixed when a process starts.
Nothing here depends on HAProxy's release: what differs between them (`cookie` with `add server`,
verdicts of reloads) is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from libra_haproxy.model import Certificate, LoadBalancer, Model, Server, State

MOST_OPERATIONS = 200
"""Above this a reload is the cheaper way: an added server costs some 60 us, a reload some 40 ms."""


@dataclass(frozen=True)
class AddServer:
    """A new server, checked from the beginning."""

    lb: LoadBalancer
    server: Server


@dataclass(frozen=True)
class RemoveServer:
    """A server that takes nothing new from now on and goes when its last connection ends."""

    backend: str
    name: str


@dataclass(frozen=True)
class SetWeight:
    """A server's share, 0 to 256."""

    backend: str
    name: str
    weight: int


@dataclass(frozen=True)
class SetAddress:
    """Where a server is."""

    backend: str
    name: str
    address: str
    port: int


@dataclass(frozen=True)
class SetInUse:
    """Whether a server takes traffic."""

    backend: str
    name: str
    in_use: bool


@dataclass(frozen=True)
class SetCertificate:
    """Another certificate for new connections of a frontend, in place of `old`."""

    frontend: str
    old: Certificate
    new: Certificate


@dataclass(frozen=True)
class OpenFrontend:
    """Listen again."""

    frontend: str


@dataclass(frozen=True)
class CloseFrontend:
    """Refuse connections."""

    frontend: str


Operation: TypeAlias = (
    AddServer
    | RemoveServer
    | SetWeight
    | SetAddress
    | SetInUse
    | SetCertificate
    | OpenFrontend
    | CloseFrontend
)


@dataclass(frozen=True)
class AtRunTime:
    """Carry these out, in this order; none means that nothing is to be done."""

    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class ByReload:
    """Start a new process from the file, for this reason."""

    reason: str


Plan: TypeAlias = AtRunTime | ByReload


def plan(old: State, new: State, *, most: int = MOST_OPERATIONS) -> Plan:
    """The way from `old`, which is being served, to `new`."""
    if old.model is None or new.model is None:
        return ByReload("there is nothing to start from")
    if old.suspended and new.suspended:
        return ByReload("a suspended load balancer changes")
    if old.suspended != new.suspended:
        return _gate(old.model, new.model, close=new.suspended)
    before = {lb.protocol: lb for lb in old.model.load_balancers}
    after = {lb.protocol: lb for lb in new.model.load_balancers}
    if before.keys() != after.keys():
        return ByReload("a load balancer comes or goes")
    operations: list[Operation] = []
    for protocol, lb in after.items():
        fixed = _fixed_differences(before[protocol], lb)
        if fixed:
            return ByReload(f"{lb.frontend}: {', '.join(fixed)} changed")
        operations += [*_certificate(before[protocol], lb), *_servers(before[protocol], lb)]
    if len(operations) > most:
        return ByReload(f"{len(operations)} changes at once")
    return AtRunTime(tuple(operations))


def _gate(old: Model, new: Model, *, close: bool) -> Plan:
    """Suspend or enable; what changes beside that needs a reload."""
    if _unlabelled(old) != _unlabelled(new):
        return ByReload("suspended or enabled together with a change")
    kind = CloseFrontend if close else OpenFrontend
    return AtRunTime(tuple(kind(lb.frontend) for lb in new.load_balancers))


def _unlabelled(model: Model) -> list[LoadBalancer]:
    return [replace(lb, label=None) for lb in model.load_balancers]


def _fixed_differences(old: LoadBalancer, new: LoadBalancer) -> list[str]:
    """Which of the parts that a process cannot change are different."""
    names = ("port", "algorithm", "monitor", "timeouts", "retries", "sticky", "movable")
    found = [name for name in names if getattr(old, name) != getattr(new, name)]
    if old.tls != new.tls and not list(_certificate(old, new)):
        found.append("tls")
    before = {server.name: server for server in old.servers}
    both = [(before[server.name], server) for server in new.servers if server.name in before]
    found += [
        f"a server's {name}"
        for name in ("backup", "number", *(() if new.movable else ("address", "port")))
        if any(getattr(one, name) != getattr(other, name) for one, other in both)
    ]
    return found


def _certificate(old: LoadBalancer, new: LoadBalancer) -> Iterator[Operation]:
    """The change of a certificate, if that is all that changes of TLS.

    HAProxy tells a new one by its fingerprint only: other issuers of the same need a reload.
    """
    if old.tls is None or new.tls is None or old.tls == new.tls:
        return
    before, after = old.tls.certificate, new.tls.certificate
    if replace(old.tls, certificate=after) == new.tls and before.leaf != after.leaf:
        yield SetCertificate(new.frontend, before, after)


def _servers(old: LoadBalancer, new: LoadBalancer) -> Iterator[Operation]:
    """First what comes, then what changes, last what goes: there is always somebody to serve."""
    before = {server.name: server for server in old.servers}
    after = {server.name: server for server in new.servers}
    for server in new.servers:
        if server.name not in before:
            yield AddServer(new, server)
    for name, server in after.items():
        if name in before:
            yield from _changes(new.backend, before[name], server)
    for name in before:
        if name not in after:
            yield RemoveServer(new.backend, name)


def _changes(backend: str, old: Server, new: Server) -> Iterator[Operation]:
    if (old.address, old.port) != (new.address, new.port):
        yield SetAddress(backend, new.name, new.address, new.port)
    if old.weight != new.weight:
        yield SetWeight(backend, new.name, new.weight)
    if old.enabled != new.enabled:
        yield SetInUse(backend, new.name, new.enabled)
