"""Whether HAProxy serves what was asked for. Pure: rows of HAProxy in, differences out.

The expected side comes from the model, that is from the message; never from the file that was
just written, which would only prove that HAProxy can read.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection, Container, Iterable, Mapping

from libra_haproxy.model import LoadBalancer, Model
from libra_haproxy.readings import ServerRow

_Seen = tuple[int, str, int, int, bool]


def differences(
    model: Model,
    *,
    suspended: bool,
    frontends: Mapping[str, str],
    servers: Iterable[ServerRow],
    leaving: Container[tuple[str, str]] = (),
) -> list[str]:
    """Say what differs, one line each; an empty list means in force.

    A suspended model is in force when none of its frontends is open. Frontends that the model
    does not have must not be there either: what was left out goes away. `leaving` are servers
    (backend, name) that may be there as long as they take nothing new.
    """
    open_ones = {name for name, status in frontends.items() if status == "OPEN"}
    wanted = set() if suspended else {lb.frontend for lb in model.load_balancers}
    found = [f"{name} is not open" for name in sorted(wanted - open_ones)]
    found += [f"{name} is still open" for name in sorted(open_ones - wanted)]
    if suspended:
        return found
    rows: dict[str, dict[str, _Seen]] = {}
    for row in servers:
        if row.maintenance and (row.backend, row.name) in leaving:
            continue
        rows.setdefault(row.backend, {})[row.name] = (
            row.number,
            row.address,
            row.port,
            row.weight,
            row.maintenance,
        )
    for lb in model.load_balancers:
        found += _servers(lb, rows.pop(lb.backend, {}))
    found += [f"{backend} is still there" for backend in sorted(rows)]
    return found


def certificate_differences(model: Model, leaves: Collection[str]) -> list[str]:
    """Say which certificates are not among those that HAProxy has, given by their fingerprints."""
    return [
        f"{lb.frontend} does not have the certificate {lb.tls.certificate.name}"
        for lb in model.load_balancers
        if lb.tls and lb.tls.certificate.leaf not in leaves
    ]


def _servers(lb: LoadBalancer, seen: dict[str, _Seen]) -> list[str]:
    wanted: dict[str, _Seen] = {
        server.name: (
            server.number,
            server.address,
            server.port,
            server.weight,
            not server.enabled,
        )
        for server in lb.servers
    }
    found = [f"{lb.backend}/{name} is missing" for name in sorted(wanted.keys() - seen.keys())]
    found += [f"{lb.backend}/{name} is still there" for name in sorted(seen.keys() - wanted.keys())]
    found += [
        f"{lb.backend}/{name} is {_words(seen[name])} and should be {_words(wanted[name])}"
        for name in sorted(wanted.keys() & seen.keys())
        if wanted[name] != seen[name] and _canonical(wanted[name]) != _canonical(seen[name])
    ]
    return found


def _canonical(seen: _Seen) -> _Seen:
    """With the address in its one form; most are equal without it, and this takes its time."""
    number, address, port, weight, maintenance = seen
    with contextlib.suppress(ValueError):
        address = str(ipaddress.ip_address(address))
    return number, address, port, weight, maintenance


def _words(seen: _Seen) -> str:
    number, address, port, weight, maintenance = seen
    state = "in maintenance" if maintenance else "in use"
    return f"number {number} at {address} port {port}, weight {weight}, {state}"
