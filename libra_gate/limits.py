"""How much one name may have: connections at once, packets in a second, functions; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MOST_FUNCTIONS = 64
"""Functions that one name may ever take jobs of; gearmand forgets none that it heard of."""


@dataclass(slots=True)
class Bucket:
    """A second's worth of packets, filled again as time goes by. `now` is monotonic seconds."""

    rate: float
    filled: float
    since: float

    def take(self, now: float) -> float:
        """Take one packet; give the seconds to wait until it is one's own, 0 if it is now."""
        self.filled = min(self.rate, self.filled + (now - self.since) * self.rate) - 1.0
        self.since = now
        return max(0.0, -self.filled / self.rate)


class Shares:
    """The connections and the packets of each name, counted together for all its connections."""

    def __init__(self, *, most: int, rate: float) -> None:
        self.most = most
        self.rate = rate
        self._connections: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}
        self._functions: dict[str, set[bytes]] = {}

    def enter(self, name: str) -> bool:
        """Count one more connection; False, and not counted, if the name has all it may have."""
        if self._connections[name] >= self.most:
            return False
        self._connections[name] += 1
        return True

    def leave(self, name: str) -> None:
        """Count one connection less; what nobody holds any more is forgotten."""
        self._connections[name] -= 1
        if self._connections[name] <= 0:
            del self._connections[name]
            self._buckets.pop(name, None)

    def take(self, name: str, now: float) -> float:
        """Count a packet; give the seconds that its sender has to wait with the next."""
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != self.rate:
            bucket = self._buckets[name] = Bucket(self.rate, self.rate, now)
        return bucket.take(now)

    def may_take(self, name: str, function: bytes) -> bool:
        """Whether a name may take jobs of one more function; it is remembered for good."""
        known = self._functions.setdefault(name, set())
        if function not in known and len(known) >= MOST_FUNCTIONS:
            return False
        known.add(function)
        return True
