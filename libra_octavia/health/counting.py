"""From readings of counters to what was added: each byte once. Pure."""

from __future__ import annotations

from dataclasses import replace

from libra_octavia.health.message import Beat
from libra_octavia.inventory import Counts

KEPT_TOGETHER = ("bytes_in", "bytes_out", "total_connections")
"""Counters that a device keeps in one place, and loses only together."""

ALONE = "request_errors"
"""One that it keeps in memory, and may lose alone."""


def added(last: Counts | None, reading: Counts) -> Counts:
    """What came between two readings of one listener at one device; None for no earlier one.

    A counter that fell has begun again, and all that it shows is new. Active connections are
    those of the reading.
    """
    before = last or Counts()
    again = any(getattr(reading, name) < getattr(before, name) for name in KEPT_TOGETHER)
    values = {
        name: getattr(reading, name) - (0 if again else getattr(before, name))
        for name in KEPT_TOGETHER
    }
    errors = reading.request_errors - before.request_errors
    return Counts(
        active_connections=reading.active_connections,
        request_errors=errors if errors >= 0 else reading.request_errors,
        **values,
    )


def combined(old: Beat, new: Beat) -> Beat | None:
    """One heartbeat in the place of two that follow each other, None where something were lost.

    For when they cannot be stored as fast as they come.
    """
    if old.deltas is not new.deltas:
        return None
    if not new.deltas:
        grown = all(
            name in new.counts and _grew(counts, new.counts[name])
            for name, counts in old.counts.items()
        )
        return new if grown else None
    counts = dict(old.counts)
    for name, one in new.counts.items():
        before = counts.get(name, Counts())
        counts[name] = replace(
            one,
            **{field: getattr(one, field) + getattr(before, field) for field in _GROWING},
        )
    return replace(new, counts=counts)


_GROWING = (*KEPT_TOGETHER, ALONE)


def _grew(old: Counts, new: Counts) -> bool:
    return all(getattr(old, name) <= getattr(new, name) for name in _GROWING)
