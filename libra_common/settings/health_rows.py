"""The setting `health` of each daemon's section."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

HELP = (
    "Where /healthz, /readyz and Prometheus's /metrics are served, to this machine alone. Empty:"
    " nowhere."
)

HEALTH_ROWS: tuple[Setting, ...] = tuple(
    Setting(
        section=section,
        name="health",
        kind=values.Loopback(),
        default="",
        help=HELP,
        daemons=frozenset({daemon}),
    )
    for section, daemon in (
        ("worker", "libra_worker"),
        ("mgm", "libra_pool_mgm"),
        ("octavia", "libra_octavia"),
        ("gate", "libra_gate"),
    )
)
