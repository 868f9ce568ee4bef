"""`libra status`: everything that the gearman servers know, in one table."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict

from libra_client.cli import options, output
from libra_client.cli.exits import Exit
from libra_client.status import Row, Status, status

_TIMEOUT = 5.0
_COLUMNS = (
    *("name", "kind", "slots", "queued", "running", "release", "lb_status", "generation"),
    *("lbs", "nodes up", "requests/s"),
)


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.add_command(
        commands,
        "status",
        about="show every node and pool manager that the gearman servers know",
        more="All are asked at the same time; one that does not answer in time keeps nothing"
        " waiting. The exit code is 0 where everything is well, 1 where something named on standard"
        " error is not, and 3 where no gearman server answers.",
        examples="  libra status\n  libra status --watch 2\n  libra status web-1 web-2 --json",
    )
    options.add_common(parser)
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=float,
        const=2.0,
        help="again each so many seconds (default: 2), until interrupted",
    )
    parser.set_defaults(run=_run)


def _run(asked: argparse.Namespace) -> Exit:
    if asked.watch is None:
        return _once(asked)
    if not 0.1 <= asked.watch <= 3600:
        output.complain("--watch: must be 0.1 to 3600 seconds")
        return Exit.USAGE
    while True:
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[H\x1b[2J")
        _once(asked)
        sys.stdout.flush()
        time.sleep(asked.watch)


def _once(asked: argparse.Namespace) -> Exit:
    servers, tls = options.servers(options.settings(asked))
    found = status(servers, tls=tls, timeout=options.timeout(asked, _TIMEOUT), names=asked.names)
    if options.wants_json(asked):
        output.show_json(
            {
                "well": found.well,
                "servers_away": dict(found.away),
                "rows": [{**asdict(row), "well": row.well} for row in found.rows],
            }
        )
    else:
        output.show_table(_COLUMNS, map(_cells, found.rows))
    _complain(found)
    if found.away and len(found.away) == len(servers):
        return Exit.NO_ANSWER
    return Exit.OK if found.well else Exit.FAIL


def _cells(row: Row) -> list[object]:
    up = None if row.nodes is None else f"{row.nodes_up}/{row.nodes}"
    rate = None if row.requests_per_second is None else f"{row.requests_per_second:g}"
    return [
        *(row.name, str(row.kind), row.slots, row.queued, row.running),
        *(row.release, row.lb_status, row.generation, row.load_balancers, up, rate),
    ]


def _complain(found: Status) -> None:
    for server, why in found.away.items():
        output.complain(f"{server}: {why}")
    for row in found.rows:
        if not row.slots:
            output.complain(f"{row.name}: nobody is registered for it")
        elif row.error is not None:
            output.complain(f"{row.name}: {row.error}")
        elif not row.well:
            output.complain(f"{row.name}: none of its {row.nodes} nodes is up")
