"""Which servers a process that takes over knows to be down from its first moment.

HAProxy takes every server for up when it starts, until checks say otherwise. To be told through
its socket is too late for the first requests; a state file is read before them (manual, 3.1
server-state-file). But HAProxy believes it more than its configuration: one with old addresses
or weights would undo a change. So ours holds nothing but servers that are down and stay where
they are, with the weight that is wanted now, and these during a reload only.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from libra_haproxy.model import Model

NAME = "down.servers"
"""The file, in an Instance's run directory."""

_NONE = "1\n"
"""The file's version alone; without it HAProxy warns at each start."""

_DOWN = "0"
_IN_MAINTENANCE = 0x23  # as in readings.parse_servers


@dataclass(frozen=True)
class Stays:
    """Where a server is that the process that takes over has too, and its weight there."""

    address: str
    port: int
    weight: int


Servers = Mapping[tuple[str, str], Stays]
"""Those that may stay down, by backend and name: checks will bring them up again."""


def of_model(wanted: Model) -> dict[tuple[str, str], Stays]:
    """Those of a model."""
    return {
        (lb.backend, server.name): Stays(str(server.address), server.port, server.weight)
        for lb in wanted.load_balancers
        for server in lb.servers
        if server.enabled
    }


class Downs:
    """The file at `path`, which HAProxy's user may read. One that cannot be written is none."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, states: str, wanted: Servers) -> None:
        """Before a reload to `wanted`; `states` is the answer to `show servers state`."""
        self._put(down_rows(states, wanted))

    def clear(self) -> None:
        """After a reload, and before all that follows one which nobody saw the end of."""
        self._put(_NONE)

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self._path, flags, 0o644), "w", encoding="ascii") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)


def down_rows(states: str, wanted: Servers) -> str:
    """What a process that is started with `wanted` is told."""
    version, *lines = states.strip().splitlines()
    header = next((line for line in lines if line.startswith("# ")), "# ")
    names = header[2:].split(" ")
    if "srv_op_state" not in names:
        return _NONE
    state = names.index("srv_op_state")
    rows = []
    for line in lines:
        words = line.split(" ")
        # Most are up, and there may be ten thousand.
        if len(words) != len(names) or words[state] != _DOWN:
            continue
        row = dict(zip(names, words, strict=True))
        server = wanted.get((row["be_name"], row["srv_name"]))
        if (
            server is None
            or int(row["srv_admin_state"]) & _IN_MAINTENANCE
            or _place(row["srv_addr"], row["srv_port"]) != _place(server.address, server.port)
        ):
            continue
        row |= dict.fromkeys(("srv_uweight", "srv_iweight"), str(server.weight))
        rows.append(" ".join(row.values()))
    return "\n".join([version, header, *rows, ""]) if rows else _NONE


def _place(address: str, port: int | str) -> tuple[str, int]:
    # Of IPv4 there is one form only.
    if ":" in address:
        with contextlib.suppress(ValueError):
            address = str(ipaddress.ip_address(address))
    return address, int(port)
