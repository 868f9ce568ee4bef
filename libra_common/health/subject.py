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


class Subject(Protocol):
    """Whom the pages are about. Both are asked by several threads, and answer within a second."""

    def checks(self) -> Iterable[Check]:
        """What must be so; the daemon is ready when all are."""

    def families(self) -> Iterable[Family | Histogram]:
        """The figures of now."""


class Started:
    """A daemon of which nothing more is known than how far it got."""

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def checks(self) -> Iterable[Check]:
        """Whether it got to its end."""
        readiness = self._readiness()
        yield Check(name="started", ok=readiness is Readiness.READY, detail=readiness.name.lower())

    def families(self) -> Iterable[Family | Histogram]:
        """Nothing."""
        return ()
