"""The commands for devices and floating IPs: libra pool build, delete, list, ip."""

from __future__ import annotations

import argparse
from typing import Any

from libra_client.cli import building, options, output, sending
from libra_client.cli.changes import confirm
from libra_client.cli.exits import Exit
from libra_client.pool import CHANGE_TIMEOUT, FUNCTION, RESPONSE_FIELD

_MOST_AT_ONCE = 1000


def add(commands: options.Commands) -> None:
    """Add this group's commands."""
    pool = options.add_command(
        commands,
        "pool",
        about="have devices and floating IPs built and deleted by the pool manager",
        examples="  libra pool build -n 3\n"
        "  libra pool ip create\n"
        "  libra pool ip assign 203.0.113.1 libra-eaf1fef0-1584-11e3-b42b-02163e192df9",
    )
    inner = pool.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_build(inner)
    _add_delete(inner)
    _add_list(inner)
    _add_ip(inner)


def _add_build(commands: options.Commands) -> None:
    build = options.add_command(
        commands,
        "build",
        about="build devices, and wait until they are ready",
        more="A device is ready when its worker is registered and has looked at itself. What is"
        " not named is as the pool manager's settings say. With -n all are asked for at once, and"
        " --json prints a list.",
        examples="  libra pool build\n  libra pool build -n 20 --flavor m1.small --json",
    )
    build.add_argument("-n", "--number", metavar="N", type=_number, help="how many (default: 1)")
    for name, what in (
        ("flavor", "size, by name or id"),
        ("image", "image to boot, by name or id"),
        ("az", "availability zone"),
        ("network", "network, by name or id"),
    ):
        build.add_argument(f"--{name}", metavar="NAME", help=what)
    options.add_common(build)
    build.set_defaults(run=_build, node=FUNCTION)


def _add_delete(commands: options.Commands) -> None:
    delete = options.add_command(
        commands,
        "delete",
        about="delete a device and all that it serves",
        more="Its floating IPs stay, held by nobody. A device that is gone is no fault.",
        examples="  libra pool delete libra-eaf1fef0-1584-11e3-b42b-02163e192df9 --yes",
    )
    delete.add_argument("name", metavar="NAME", help="the device's name")
    _finish(delete, _delete, yes=True)


def _add_list(commands: options.Commands) -> None:
    listing = options.add_command(
        commands,
        "list",
        about="list the devices that are registered at the gearman servers",
        more="A device is known by its name, which begins with the pool's [mgm] node_basename.",
        examples="  libra pool list\n  libra pool list --basename libra-stg --json",
    )
    listing.add_argument(
        "--basename", metavar="NAME", help="what names begin with (default: the settings')"
    )
    options.add_common(listing)
    listing.set_defaults(run=_list)


def _add_ip(commands: options.Commands) -> None:
    ip = options.add_command(
        commands,
        "ip",
        about="make floating IPs, give them to devices and take them away",
        examples="  libra pool ip create\n  libra pool ip remove 203.0.113.1 NAME",
    )
    inner = ip.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = options.add_command(
        inner, "create", about="make a floating IP", examples="  libra pool ip create"
    )
    _finish(create, _create_ip)
    for command, action, about in (
        ("assign", "ASSIGN_IP", "give a floating IP, which no other device holds, to a device"),
        ("remove", "REMOVE_IP", "take a floating IP from a device, and keep it"),
    ):
        parser = options.add_command(
            inner, command, about=about, examples=f"  libra pool ip {command} 203.0.113.1 NAME"
        )
        parser.add_argument("ip", metavar="IP", help="the floating IP")
        parser.add_argument("name", metavar="NAME", help="the device's name")
        parser.set_defaults(action=action)
        _finish(parser, _move_ip)
    delete = options.add_command(
        inner,
        "delete",
        about="give a floating IP back to the cloud, for good",
        examples="  libra pool ip delete 203.0.113.1 --yes",
    )
    delete.add_argument("ip", metavar="IP", help="the floating IP")
    _finish(delete, _delete_ip, yes=True)


def _finish(parser: argparse.ArgumentParser, run: Any, *, yes: bool = False) -> None:
    if yes:
        parser.add_argument(
            "--yes", action="store_true", help="do not ask; needed where no terminal is there"
        )
    options.add_common(parser)
    parser.set_defaults(run=run, node=FUNCTION)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_AT_ONCE):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_AT_ONCE}")
    return int(text)


def _build(asked: argparse.Namespace) -> Exit:
    return building.build(asked)


def _delete(asked: argparse.Namespace) -> Exit:
    if not asked.yes:
        name = output.plain(asked.name)
        confirm("delete cannot be undone", f"Delete {name} and all that it serves?")
    return _change(asked, "DELETE_DEVICE", name=asked.name)


def _create_ip(asked: argparse.Namespace) -> Exit:
    return _change(asked, "BUILD_IP")


def _move_ip(asked: argparse.Namespace) -> Exit:
    return _change(asked, asked.action, ip=asked.ip, name=asked.name)


def _delete_ip(asked: argparse.Namespace) -> Exit:
    if not asked.yes:
        confirm("delete cannot be undone", f"Give {output.plain(asked.ip)} back to the cloud?")
    return _change(asked, "DELETE_IP", ip=asked.ip)


def _change(asked: argparse.Namespace, action: str, **fields: str) -> Exit:
    result = sending.send(
        asked, {"action": action, **fields}, timeout=CHANGE_TIMEOUT, response_field=RESPONSE_FIELD
    )
    if options.wants_json(asked):
        output.show_json(result.answer)
        return Exit.OK if result.ok else Exit.FAIL
    if not result.ok:
        return sending.refused(asked, result)
    ip = result.answer.get("ip")
    output.say(f"{action}:", "PASS", *([] if ip is None else [ip]))
    return Exit.OK


def _list(asked: argparse.Namespace) -> Exit:
    settings = options.settings(asked)
    basename = asked.basename or settings.mgm.node_basename
    servers, tls = options.servers(settings)
    known = sending.functions(servers, tls)
    prefix = f"{basename.replace('_', '-')}-"
    workers: dict[str, int] = {}
    running: dict[str, int] = {}
    for function in known:
        if function.name.startswith(prefix) and function.workers:
            workers[function.name] = workers.get(function.name, 0) + function.workers
            running[function.name] = running.get(function.name, 0) + function.running
    rows = [{"name": n, "workers": workers[n], "running": running[n]} for n in sorted(workers)]
    if options.wants_json(asked):
        output.show_json(rows)
    else:
        output.show_table(("name", "workers", "running"), (list(row.values()) for row in rows))
    return Exit.OK
