"""The three pages as text. Pure but for asking the subject.

The text of /metrics is Prometheus's exposition format, written by its own client library, which is
read in only where somebody asks: a daemon whose pages are off carries none of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from libra_common.health.subject import Family, Histogram, Subject
from libra_common.version import RELEASE

JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer: status, type of its content, content."""

    status: int
    kind: str
    body: bytes


class Page:
    """Answers for one daemon, named `prog`.

    `progress` is the monotonic time of the last round of its loop, which must come at least every
    `patience` seconds: /healthz is about that alone, since a daemon that hangs wants to be
    restarted and one that has lost gearmand does not.
    """

    def __init__(
        self,
        *,
        prog: str,
        subject: Subject,
        progress: Callable[[], float],
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prog = prog
        self._subject = subject
        self._progress = progress
        self._patience = patience
        self._clock = clock

    def answer(self, path: str) -> Answer:
        """The page of a path; 404 names those that there are."""
        match path.partition("?")[0]:
            case "/healthz":
                return self._alive()
            case "/readyz":
                return self._ready()
            case "/metrics":
                return self._metrics()
        return _told(404, error="no such page", pages=["/healthz", "/readyz", "/metrics"])

    def _alive(self) -> Answer:
        silent = self._clock() - self._progress()
        alive = silent <= self._patience
        return _told(200 if alive else 503, alive=alive, seconds_since_progress=round(silent, 1))

    def _ready(self) -> Answer:
        checks = self._subject.look().checks
        ready = all(check.ok for check in checks)
        return _told(200 if ready else 503, ready=ready, checks=[asdict(one) for one in checks])

    def _metrics(self) -> Answer:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected(list(self._families())))
        return Answer(status=200, kind=CONTENT_TYPE_LATEST, body=generate_latest(registry))

    def _families(self) -> Iterator[Family | Histogram]:
        look = self._subject.look()
        checks: dict[tuple[str, ...], float]
        checks = {(check.name,): float(check.ok) for check in look.checks}
        yield Family(
            name="libra_build_info",
            help="The daemon and its release.",
            labels=("daemon", "release"),
            values={(self._prog, RELEASE): 1.0},
        )
        yield Family.one(
            "libra_ready", "Whether everything is as it must be.", float(all(checks.values()))
        )
        yield Family(
            name="libra_check",
            help="Whether each thing is as it must be.",
            labels=("check",),
            values=checks,
        )
        yield from look.families()


class _Collected:
    """Families as Prometheus's library takes them."""

    def __init__(self, families: Iterable[Family | Histogram]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        from prometheus_client import core

        for family in self._families:
            if isinstance(family, Histogram):
                yield _histogram(core.HistogramMetricFamily, family)
                continue
            kind = core.CounterMetricFamily if family.counter else core.GaugeMetricFamily
            made = kind(family.name, family.help, labels=family.labels)
            for labels, value in family.values.items():
                made.add_metric(labels, value)
            yield made


def _histogram(kind: Any, family: Histogram) -> Any:
    made = kind(family.name, family.help, labels=family.labels)
    ends = [*(str(bound) for bound in family.bounds), "+Inf"]
    for labels, (counts, total) in family.values.items():
        made.add_metric(labels, list(zip(ends, accumulate(counts), strict=True)), total)
    return made


def _told(status: int, **fields: object) -> Answer:
    return Answer(status=status, kind=JSON, body=json.dumps(fields).encode() + b"\n")
