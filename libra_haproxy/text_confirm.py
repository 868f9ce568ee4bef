"""Whether HAProxy serves what a controller's text says. Pure: rows in, differences out.

A text is read by HAProxy itself, so what it serves of one is compared by the names of the
sections and servers. What was changed at run time it has not read, and is compared whole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterator, Mapping

from libra_haproxy.readings import ServerRow, Snapshot
from libra_haproxy.text import Text
from libra_haproxy.text_plan import Server


def differences(
    text: Text,
    *,
    seen: Snapshot,
    leaving: Container[tuple[str, str]] = (),
    changed: Mapping[tuple[str, str], Server],
) -> list[str]:
    """Say what differs, one line each; an empty list means in force.

    `leaving` are servers (backend, name) that may be there as long as they take nothing new,
    `changed` those that were changed at run time, as the text has them.
    """
    rows = {(row.backend, row.name): row for row in seen.servers}
    return [*_frontends(text, seen), *_names(text, rows, leaving), *_values(changed, rows)]


def _frontends(text: Text, seen: Snapshot) -> Iterator[str]:
    for frontend in text.frontends:
        if not frontend.has("disabled") and seen.frontends.get(frontend.name) != "OPEN":
            yield f"{frontend.name} is not open"


def _names(
    text: Text, rows: Mapping[tuple[str, str], ServerRow], leaving: Container[tuple[str, str]]
) -> Iterator[str]:
    there = {place for place, row in rows.items() if not (row.maintenance and place in leaving)}
    for backend in text.backends:
        if backend.has("disabled") or backend.has("server-template"):
            continue
        wanted = {(backend.name, words[0]) for words in backend.values("server") if words}
        ours = {place for place in there if place[0] == backend.name}
        yield from (f"{'/'.join(place)} is missing" for place in sorted(wanted - ours))
        yield from (f"{'/'.join(place)} is still there" for place in sorted(ours - wanted))


def _values(
    changed: Mapping[tuple[str, str], Server], rows: Mapping[tuple[str, str], ServerRow]
) -> Iterator[str]:
    for place, server in changed.items():
        row = rows.get(place)
        if row is None:
            continue  # which is told as missing
        wanted = (server.address, server.port, server.weight, server.disabled)
        if (_address(row.address), row.port, row.weight, row.maintenance) != wanted:
            yield f"{'/'.join(place)} is not as the text has it"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
