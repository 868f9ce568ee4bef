"""The one table of all settings: command line, files, sample and reference come from it.

A new daemon adds its rows, its section in `sections` and its dataclass in `model`.
"""

from __future__ import annotations

from libra_common.settings.archive_rows import ARCHIVE_ROWS
from libra_common.settings.common_rows import COMMON_ROWS
from libra_common.settings.gate_rows import GATE_ROWS
from libra_common.settings.haproxy_rows import HAPROXY_ROWS
from libra_common.settings.health_rows import HEALTH_ROWS
from libra_common.settings.local_rows import LOCAL_ROWS
from libra_common.settings.mgm_rows import MGM_ROWS
from libra_common.settings.nova_rows import NOVA_ROWS
from libra_common.settings.octavia_device_rows import OCTAVIA_DEVICE_ROWS
from libra_common.settings.octavia_rows import OCTAVIA_ROWS
from libra_common.settings.sections import Setting
from libra_common.settings.worker_rows import WORKER_ROWS

TABLE: tuple[Setting, ...] = (
    *COMMON_ROWS,
    *WORKER_ROWS,
    *HAPROXY_ROWS,
    *ARCHIVE_ROWS,
    *MGM_ROWS,
    *LOCAL_ROWS,
    *NOVA_ROWS,
    *OCTAVIA_ROWS,
    *OCTAVIA_DEVICE_ROWS,
    *GATE_ROWS,
    *HEALTH_ROWS,
)

DAEMONS: frozenset[str] = frozenset().union(*(setting.daemons for setting in TABLE))
"""Every command that some setting is marked for."""


def offered(prog: str) -> tuple[Setting, ...]:
    """Give the settings that the command `prog` uses; all of them to a command of no mark."""
    return tuple(s for s in TABLE if not s.daemons or prog in s.daemons or prog not in DAEMONS)
