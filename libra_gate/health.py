"""What the gate tells of itself to monitoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from libra_common.detach import Readiness
from libra_common.health import Check, Family, Look, Started
from libra_common.health.certificate import CertificateDays
from libra_gate.counters import Counters

_KEYS: Mapping[str, tuple[str, ...]] = {
    "admitted": ("role",),
    "turned_away": ("reason",),
    "packets": ("role",),
    "jobs": ("role",),
    "refused": ("role", "what"),
}
"""By what the tables among the counters are told apart."""


class GateHealth:
    """The subject of the gate's pages; `connections` tells how many there are now."""

    def __init__(
        self,
        *,
        counters: Counters,
        readiness: Callable[[], Readiness],
        connections: Callable[[], int],
        certificate: Path | None,
    ) -> None:
        self._counters = counters
        self._started = Started(readiness)
        self._connections = connections
        self._certificate = CertificateDays([certificate])

    def look(self) -> Look:
        """The checks of now, and the figures."""
        return Look(checks=tuple(self._checks()), families=self._families)

    def _checks(self) -> Iterator[Check]:
        """Listening, a gearmand answers, and the certificate is good."""
        yield from self._started.look().checks
        certificate = self._certificate.check()
        if certificate is not None:
            yield certificate

    def _families(self) -> Iterator[Family]:
        """Every counter, and the connections of now."""
        yield Family.one("libra_gate_connections", "Connections now.", float(self._connections()))
        for name, value in self._counters.snapshot().items():
            labels = _KEYS.get(name, ())
            values: dict[tuple[str, ...], float] = {}
            if isinstance(value, dict):
                for key, count in value.items():
                    values[key if isinstance(key, tuple) else (key,)] = float(count)
            else:
                values[()] = float(value)
            yield Family(
                name=f"libra_gate_{name}",
                help=f"What the gate counts as {name.replace('_', ' ')}, see docs/gate.md.",
                labels=labels,
                values=values,
                counter=True,
            )
        yield self._certificate.family()
