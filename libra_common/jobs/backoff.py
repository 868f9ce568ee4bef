"""How long to wait before the next attempt to reach a server."""

from __future__ import annotations

FIRST = 0.25
"""Upper end of the first wait, in seconds."""

CAP = 3.0
"""Upper end of every later wait, in seconds; keeps the way back well under 5 s."""


def delay(attempt: int, chance: float, *, first: float = FIRST, cap: float = CAP) -> float:
    """Seconds to wait after the `attempt`-th failure in a row (counted from 0).

    The upper end doubles up to `cap`; `chance`, from 0 to 1, picks a place in its upper half, so
    that the slots of a thousand nodes do not knock in step and none of them knocks at once.
    """
    # The exponent is bounded because 2.0 ** 1100 overflows, and a server may be away for months.
    ceiling = min(cap, first * 2.0 ** min(attempt, 32))
    return ceiling * (0.5 + chance / 2)
