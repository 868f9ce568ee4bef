"""What the gate counts: plain numbers, which only grow, and a copy of them for whoever asks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Counters:
    """Counted in one thread, read from any by `snapshot`. Keys of tables are said with each."""

    accepted: int = 0
    """Connections, of anybody."""
    handshakes_failed: int = 0
    """Without a certificate of ours, or without TLS."""
    handshakes_late: int = 0
    """Given up because of their time, or because too many others waited too."""
    admitted: Counter[str] = field(default_factory=Counter)
    """Connections let in, by role."""
    turned_away: Counter[str] = field(default_factory=Counter)
    """Connections that TLS took and the gate did not, by reason: no_role, untrusted, too_many."""
    packets: Counter[str] = field(default_factory=Counter)
    """Packets and commands let through, by role."""
    jobs: Counter[str] = field(default_factory=Counter)
    """Jobs submitted, by the submitter's role."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Packets and commands refused, by role and by what was sent."""
    too_large: int = 0
    """Packets over the limit."""
    malformed: int = 0
    """Connections ended because no packet could be understood."""
    slow: int = 0
    """Connections ended because a packet did not come, or was not taken, in time."""
    throttled: int = 0
    """How often somebody was read more slowly because of the rate."""
    cut_off: int = 0
    """Connections ended because their certificate was revoked, ran out or lost its authority."""
    server_failures: int = 0
    """Attempts to reach a gearmand that failed."""
    failovers: int = 0
    """How often another gearmand took the place of the one before."""
    bytes_in: int = 0
    """Bytes from clients, without TLS's own."""
    bytes_out: int = 0
    """Bytes to clients, without TLS's own."""

    def snapshot(self) -> dict[str, int | dict[str, int] | dict[tuple[str, str], int]]:
        """Give a copy of everything, by name."""
        found: dict[str, int | dict[str, int] | dict[tuple[str, str], int]] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            found[one.name] = dict(value) if isinstance(value, Counter) else value
        return found
