"""Which of two heartbeats of a device is the newer one. Pure.

Datagrams come twice, late, or never, and by several agents; an old one that somebody sends again
has a right signature too.
"""

from __future__ import annotations

from dataclasses import dataclass

_LATE = 4
"""By how many a heartbeat may come too late, where nothing else tells that from a restart."""


@dataclass(frozen=True)
class Place:
    """Where a heartbeat stands: in which life of the device's agent, and how many came before.

    `boot` is None from agents that do not say.
    """

    boot: int | None
    sequence: int


def is_newer(one: Place, last: Place | None) -> bool:
    """Whether `one` was sent after the `last` that was taken; None for none."""
    if last is None:
        return True
    if one.boot is not None and last.boot is not None:
        return (one.boot, one.sequence) > (last.boot, last.sequence)
    if one.boot is not last.boot:
        # Another release of the agent: it can only have been started anew.
        return True
    return one.sequence > last.sequence or one.sequence < last.sequence - _LATE
