"""The commands that only ask a node: discover, stats, metrics, history, diagnostics."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from libra_client.cli import options, output, sending
from libra_client.cli.exits import Exit
from libra_client.client import QUERY_TIMEOUT
from libra_messages.worker import Diagnostics, Discover, History, Metrics, Stats

Answer: TypeAlias = Mapping[str, Any]


def add(commands: options.Commands) -> None:
    """Add this group's commands."""
    _add(commands, "discover", Discover.action, _discovered, "tell a node's version and limits")
    _add(
        commands,
        "stats",
        Stats.action,
        _stats,
        "tell whether HAProxy serves, and each node's state",
    )
    _add(
        commands,
        "history",
        History.action,
        _history,
        "list the last five configurations that were in force",
    )
    metrics = _add(
        commands, "metrics", Metrics.action, _metered, "tell what went through each load balancer"
    )
    metrics.add_argument(
        "--ack",
        type=int,
        default=0,
        metavar="REPORT",
        help="tell what went through since this report (default: ever); what others ask for "
        "without --ack stays as it is",
    )
    _add(commands, "diagnostics", Diagnostics.action, _diagnosed, "tell what a node can reach")


def _add(
    commands: options.Commands,
    name: str,
    action: str,
    show: Callable[[Answer], None],
    about: str,
) -> argparse.ArgumentParser:
    examples = f"  libra {name} web-1\n  libra {name} web-1 --json --timeout 5"
    parser = options.add_command(commands, name, about=about, examples=examples)
    parser.add_argument("node", metavar="NODE", help="the node's name, as its worker registers it")
    options.add_common(parser)
    parser.set_defaults(run=_ask, action=action, show=show)
    return parser


def _ask(asked: argparse.Namespace) -> Exit:
    message = {"hpcs_action": asked.action}
    if asked.action == Metrics.action:
        # Without it the API server's next poll would miss what this one was told.
        message["ack"] = asked.ack
    result = sending.send(asked, message, timeout=QUERY_TIMEOUT)
    if options.wants_json(asked):
        output.show_json(result.answer)
        return Exit.OK if result.ok else Exit.FAIL
    if not result.ok:
        return sending.refused(asked, result)
    asked.show(result.answer)
    return Exit.OK


def _discovered(answer: Answer) -> None:
    names = ("version", "release", "lb_status", "actions", "limits")
    output.show_fields(pair for name in names for pair in _flat(name, answer.get(name)))


def _stats(answer: Answer) -> None:
    columns = ("id", "address", "port", "status")
    status = answer.get("lb_status")
    output.show_table(
        (*columns, "lb_status"),
        ([*(node.get(name) for name in columns), status] for node in _objects(answer, "nodes")),
    )
    missed = answer.get("log_lines")
    if isinstance(missed, dict) and any(missed.values()):
        told = ", ".join(f"{count} {how}" for how, count in missed.items())
        output.note(f"access log lines that no archive will hold: {told}")


def _metered(answer: Answer) -> None:
    names = ("utc_start", "utc_end", "report", "after", "lb_status", "log_lines")
    output.show_fields(pair for name in names for pair in _flat(name, answer.get(name)))
    columns = ("protocol", "bytes_in", "bytes_out", "sessions")
    classes = ("1xx", "2xx", "3xx", "4xx", "5xx")

    def row(one: Answer) -> list[object]:
        requests = one.get("requests")
        counts = requests if isinstance(requests, dict) else {}
        return [*(one.get(name) for name in columns), *(counts.get(name, "-") for name in classes)]

    output.show_table((*columns, *classes), map(row, _objects(answer, "loadBalancers")))


def _history(answer: Answer) -> None:
    columns = ("entry", "time", "generation", "reason")
    output.show_table(
        (*columns, "load balancers"),
        (
            [*(entry.get(name) for name in columns), _balancers(entry)]
            for entry in _objects(answer, "history")
        ),
    )


def _balancers(entry: Answer) -> str:
    """A kept configuration in a few words."""
    balancers = []
    for balancer in _objects(entry, "load_balancers"):
        count = len(_objects(balancer, "nodes"))
        place = f"{balancer.get('protocol')} {balancer.get('port')}"
        balancers.append(f"{place}, {count} {'node' if count == 1 else 'nodes'}")
    return "; ".join(balancers)


def _diagnosed(answer: Answer) -> None:
    def fields() -> Iterator[tuple[str, object]]:
        yield from _flat("lb_status", answer.get("lb_status"))
        yield from _flat("network", answer.get("network"))
        for server in _objects(answer, "gearman"):
            yield f"gearman {server.get('host')}:{server.get('port')}", server.get("status")
        yield from _flat("haproxy", answer.get("haproxy"))

    output.show_fields(fields())


def _objects(answer: Answer, name: str) -> list[Answer]:
    """The objects of a list in the answer; none where it is anything else."""
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A field as rows: one for each field of an object, none where it is absent."""
    if isinstance(value, dict):
        for inner, found in value.items():
            yield from _flat(f"{name} {inner}", found)
    elif isinstance(value, list):
        yield name, ", ".join(output.plain(one) for one in value)
    elif value is not None:
        yield name, value
