"""What Prometheus is told of an Instance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from libra_common.health import Family
from libra_haproxy.health import Health
from libra_haproxy.ledger import COLUMNS

_RESPONSES = [column for column in COLUMNS if column.startswith("hrsp_")]


def figures(health: Health) -> Iterator[Family]:
    """The families of an Instance's health."""
    standing = health.standing
    yield Family.one(
        "libra_generation", "Number of the stored configuration.", float(standing.generation)
    )
    if standing.in_force is not None:
        yield Family.one(
            "libra_in_force", "Whether HAProxy serves what is stored.", float(standing.in_force)
        )
    if health.applied is not None:
        yield Family.one(
            "libra_applied_timestamp_seconds",
            "When the configuration in force came, in seconds since 1970.",
            health.applied.timestamp(),
        )
    yield Family(
        name="libra_changes",
        help="Configurations brought into force since the daemon started, by how.",
        labels=("way",),
        values={
            ("reload",): float(health.reloads),
            ("runtime",): float(health.runtime_changes),
        },
        counter=True,
    )
    yield Family.one(
        "libra_haproxy_deaths",
        "How often HAProxy or its keeper was seen dead since the daemon started.",
        float(health.deaths),
        counter=True,
    )
    yield Family.one(
        "libra_haproxy_lingering",
        "Processes that a reload has replaced and that still have connections.",
        float(health.lingering),
    )
    if standing.version:
        yield Family(
            name="libra_haproxy_info",
            help="HAProxy's release that runs, and that of the program on disk.",
            labels=("running", "installed"),
            values={(standing.version, health.installed): 1.0},
        )
        yield Family.one(
            "libra_haproxy_outdated",
            "Whether another HAProxy is installed than the one that runs.",
            float(bool(health.installed) and health.installed != standing.version),
        )
    yield Family(
        name="libra_log_lines_missed",
        help="Access log lines that no archive will hold, since the load balancer was made.",
        labels=("why",),
        values={
            ("lost",): float(health.lines_lost),
            ("dropped",): float(health.lines_dropped),
        },
        counter=True,
    )
    yield from _traffic(health)


def _traffic(health: Health) -> Iterator[Family]:
    rows = {name: dict(zip(COLUMNS, row, strict=False)) for name, row in health.totals.items()}

    def by_frontend(column: str) -> dict[tuple[str, ...], float]:
        return {(name,): float(row.get(column, 0)) for name, row in rows.items()}

    for name, column, words in (
        ("libra_bytes_in", "bin", "Bytes from clients"),
        ("libra_bytes_out", "bout", "Bytes to clients"),
        ("libra_sessions", "stot", "Connections of clients"),
    ):
        yield Family(
            name=name,
            help=f"{words} in the load balancer's life, over all processes of HAProxy.",
            labels=("frontend",),
            values=by_frontend(column),
            counter=True,
        )
    yield Family(
        name="libra_responses",
        help="HTTP responses in the load balancer's life, by class.",
        labels=("frontend", "class"),
        values={
            (name, column.removeprefix("hrsp_")): float(row.get(column, 0))
            for name, row in rows.items()
            for column in _RESPONSES
        },
        counter=True,
    )
