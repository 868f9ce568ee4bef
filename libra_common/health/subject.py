"""What a daemon says of itself, as values: checks that make it ready, and families of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from libra_common.detach import Readiness


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that must be so for the daemon to do its work; `detail` says what is found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """Figures of one name, by the values of their `labels`; a `counter` only grows.

    Names and units are Prometheus's: seconds, bytes, `_total` left off of counters.
    """

    name: str
    help: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()
    counter: bool = False

    @classmethod
    def one(cls, name: str, help: str, value: float, *, counter: bool = False) -> Family:  # noqa: A002
        """A family of a single figure without labels."""
        return cls(name=name, help=help, values={(): value}, counter=counter)


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Seconds that things took: how many at most each bound, all of them, and their sum."""

    name: str
    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    values: Mapping[tuple[str, ...], tuple[tuple[int, ...], float]] = field(default_factory=dict)
    """For each value of the labels: how many at each bound (and above all), and the sum."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at a daemon found: the checks, and a way to have the figures too.

    `families` asks only for what the checks did not need, so whoever wants both asks once.
    """

    checks: tuple[Check, ...]
    families: Callable[[], Iterable[Family | Histogram]] = tuple


class Subject(Protocol):
    """Whom the pages are about. Asked by several threads; answers within seconds."""

    def look(self) -> Look:
        """What must be so, the daemon being ready when all of it is, and the figures of now."""


class Started:
    """A daemon of which nothing more is known than how far it got."""

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def look(self) -> Look:
        """Whether it got to its end; no figures."""
        readiness = self._readiness()
        ok = readiness is Readiness.READY
        return Look(checks=(Check(name="started", ok=ok, detail=readiness.name.lower()),))
