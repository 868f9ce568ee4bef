"""What DIAGNOSTICS finds out about the network, in a few seconds however bad it is."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from libra_common.errors import LibraError

LOOK_SECONDS = 3.0
"""How long one address may take: callers wait five seconds for the whole answer."""


@dataclass(frozen=True)
class Reached:
    """One job server, and whether it answered."""

    host: str
    port: int
    reached: bool


@dataclass(frozen=True)
class Diagnosis:
    """`network`: the outside address if one is set, else any job server, can be reached."""

    network: bool
    gearman: tuple[Reached, ...]


def diagnose(
    *,
    gearman: Sequence[tuple[str, int]],
    probe: Callable[[str, int], object],
    outside: tuple[str, int] | None,
) -> Diagnosis:
    """Ask all addresses at once: job servers by `probe`, the outside one by a connection.

    `probe` raises OSError or LibraError, or returns; it must keep to `LOOK_SECONDS`.
    """

    def connect(host: str, port: int) -> None:
        socket.create_connection((host, port), timeout=LOOK_SECONDS).close()

    with ThreadPoolExecutor(max_workers=len(gearman) + 1) as pool:
        looks = [pool.submit(_reached, probe, host, port) for host, port in gearman]
        beyond = pool.submit(_reached, connect, *outside) if outside else None
        servers = tuple(look.result() for look in looks)
    return Diagnosis(
        network=beyond.result().reached if beyond else any(s.reached for s in servers),
        gearman=servers,
    )


def _reached(look: Callable[[str, int], object], host: str, port: int) -> Reached:
    try:
        look(host, port)
    except (OSError, LibraError):
        return Reached(host, port, reached=False)
    return Reached(host, port, reached=True)
