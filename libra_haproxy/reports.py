"""The reports of traffic: what went through since an earlier one, each byte exactly once.

A report covers the time and the traffic from the end of an earlier report, or from the beginning
of the load balancer, until now. Which one it follows is the rule:

* Asked without `ack` it follows the last report that was asked for without `ack`, as METRICS
  always did. Such a report is taken as received when it is answered: one whose answer is lost on
  the way is lost to the sum, and so is one whose job is run again after it was stored.
* Asked with `ack`, the number of the last report that was received, it follows that very report,
  however many were answered and lost since. So nothing is lost and nothing comes twice, as long
  as the asker adds up the reports whose `after` is what it sent, and acknowledges what it added.
  `ack` 0 asks for all since the beginning.

Reports asked for with `ack` do not move those asked for without. Where `ack` is no known number,
the report follows the newest known one that is older, so nothing is lost, and `after` says which.
Known are the one that was acknowledged last and the last `KNOWN` given out.

Numbers only grow, over DELETE too, since they are not less than the milliseconds since 1970.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

from libra_common import durable
from libra_haproxy.errors import DiskError, StateUnreadable
from libra_haproxy.ledger import Books, Counts

SCHEMA = 1
"""The number of the stored form; another is refused."""

NAME = "reports.json"
"""The file, in an Instance's state directory."""

KNOWN = 64
"""How many of the last reports can still be acknowledged."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report: its number, the number of the one it follows, its time and traffic.

    `after` is 0 where it begins with the load balancer. `totals` are those of the whole life.
    """

    number: int
    after: int
    start: datetime
    end: datetime
    traffic: Counts
    totals: Counts


@dataclass(frozen=True, kw_only=True)
class Point:
    """The end of a report: when it was, in microseconds since 1970, and the totals then."""

    number: int
    end: int
    totals: Counts


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is remembered of a load balancer's reports; `since` is the beginning of its books."""

    since: float
    plain: Point | None = None
    acked: Point | None = None
    given: tuple[Point, ...] = ()


def next_report(past: Past, books: Books, *, ack: int | None, now: float) -> tuple[Report, Past]:
    """The report that is due at `now`, and the past with it."""
    if past.since != books.since:
        past = Past(since=books.since)
    beginning = Point(number=0, end=_microseconds(books.since), totals={})
    last = past.given[-1] if past.given else beginning
    if ack is None:
        base = past.plain or beginning
    else:
        known = [beginning, *filter(None, [past.acked]), *past.given]
        base = max((one for one in known if one.number <= ack), key=lambda one: one.number)
    start = base.end + 1 if base.number else base.end
    point = Point(
        number=max(last.number + 1, int(now * 1000)),
        end=max(start, _microseconds(now)),
        # Two that were asked for at once may come here in the other order.
        totals=_most(last.totals, books.totals),
    )
    report = Report(
        number=point.number,
        after=base.number,
        start=_moment(start),
        end=_moment(point.end),
        traffic=_less(point.totals, base.totals),
        totals=point.totals,
    )
    return report, replace(
        past,
        plain=point if ack is None else past.plain,
        acked=base if ack is not None and base.number == ack else past.acked,
        given=(*past.given, point)[-KNOWN:],
    )


class Reports:
    """The reports of one Instance, remembered in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def next(self, books: Books, *, ack: int | None) -> Report:
        """Make the report that is due now and remember it.

        Raises StateUnreadable or DiskError; the traffic will be in the next report then.
        """
        with self._lock:
            past = self._read() or Past(since=books.since)
            report, past = next_report(past, books, ack=ack, now=time.time())
            self._write(past)
            return report

    def _read(self) -> Past | None:
        try:
            return decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnreadable(f"cannot read {self._path}: {error.strerror}") from error

    def _write(self, past: Past) -> None:
        try:
            durable.replace(self._path, encode(past), mode=0o640)
        except OSError as error:
            raise DiskError(f"cannot write {self._path}: {error.strerror}") from error


def encode(past: Past) -> bytes:
    """The stored form: JSON with a schema number."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "since": past.since,
            "plain": _stored(past.plain),
            "acked": _stored(past.acked),
            "given": [_stored(point) for point in past.given],
        }
    ).encode()


def decode(data: bytes) -> Past:
    """Read the stored form. Raises StateUnreadable on damage or another schema."""
    try:
        stored: Any = json.loads(data)
        if stored["schema"] != SCHEMA:
            raise StateUnreadable(
                f"{NAME} has schema {stored['schema']!r} and this release reads {SCHEMA}"
            )
        return Past(
            since=float(stored["since"]),
            plain=_point(stored["plain"]),
            acked=_point(stored["acked"]),
            given=tuple(filter(None, map(_point, stored["given"]))),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateUnreadable(f"{NAME} is damaged: {error}") from error


def _stored(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {"number": point.number, "end": point.end, "totals": point.totals}


def _point(stored: Mapping[str, Any] | None) -> Point | None:
    if stored is None:
        return None
    return Point(
        number=int(stored["number"]),
        end=int(stored["end"]),
        totals={name: tuple(map(int, numbers)) for name, numbers in stored["totals"].items()},
    )


def _most(a: Counts, b: Counts) -> Counts:
    return {
        name: tuple(map(max, zip_longest(a.get(name, ()), b.get(name, ()), fillvalue=0)))
        for name in {**a, **b}
    }


def _less(a: Counts, b: Counts) -> Counts:
    """What is in `a` and not in `b`, which is nowhere more."""
    return {
        name: tuple(
            more - less for more, less in zip_longest(numbers, b.get(name, ()), fillvalue=0)
        )
        for name, numbers in a.items()
    }


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
