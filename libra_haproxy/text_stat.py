"""What a HAProxy says of its proxies and servers right now (`show stat`, management guide 9.1)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from libra_haproxy.deadline import Deadline
from libra_haproxy.readings import UnexpectedAnswer
from libra_haproxy.runtime import ANSWER_SECONDS, ask

Row = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Stat:
    """Rows by the names HAProxy gives: of frontends, backends, and servers (backend, server)."""

    frontends: Mapping[str, Row] = field(default_factory=dict)
    backends: Mapping[str, Row] = field(default_factory=dict)
    servers: Mapping[tuple[str, str], Row] = field(default_factory=dict)


def stat(admin_socket: Path, *, seconds: float = ANSWER_SECONDS) -> Stat:
    """Ask. Raises HaproxyDown, HaproxyTimeout or UnexpectedAnswer."""
    return read(ask(admin_socket, "show stat", deadline=Deadline.after(seconds)))


def read(answer: str) -> Stat:
    """Understand the answer. Raises UnexpectedAnswer."""
    if not answer.startswith("# pxname"):
        raise UnexpectedAnswer(f"show stat: {answer[:200]!r}")
    rows = list(csv.DictReader(line for line in answer[2:].splitlines() if line))
    return Stat(
        frontends={row["pxname"]: row for row in rows if row["type"] == "0"},
        backends={row["pxname"]: row for row in rows if row["type"] == "1"},
        servers={(row["pxname"], row["svname"]): row for row in rows if row["type"] == "2"},
    )


def number(row: Row, column: str) -> int:
    """A counter; columns that do not apply are empty."""
    found = row.get(column, "")
    return int(found) if found.isdecimal() else 0
