"""How an Instance is, as values: what it serves, and what has happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from libra_haproxy.ledger import Counts


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether an Instance serves what it is to, at one moment: what one question tells.

    `in_force` tells whether HAProxy serves the stored `generation`, None where it need not run,
    and `why_not` what is there instead. `version` is HAProxy's that runs, empty where unknown.
    """

    generation: int
    in_force: bool | None
    why_not: str = ""
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """An Instance at the moment of `standing`, with all that there is to count.

    `reloads`, `runtime_changes` and `deaths` (of HAProxy or its keeper) count from this daemon's
    start; `applied` is when the stored configuration came, in UTC. `lingering` are processes that
    a reload has replaced and that still have connections. `totals` are what went through each
    frontend in the Instance's life, by `ledger.COLUMNS`. `installed` is the release of the HAProxy
    on disk, empty where unknown.
    """

    standing: Standing
    applied: datetime | None = None
    reloads: int = 0
    runtime_changes: int = 0
    deaths: int = 0
    lingering: int = 0
    lines_lost: int = 0
    lines_dropped: int = 0
    totals: Counts = field(default_factory=dict)
    installed: str = ""
