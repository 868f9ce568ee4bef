"""The commands for devices and floating IPs: libra pool build, delete, list, ip."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from libra_client.cli import building, options, output, sending
from libra_client.cli.changes import confirm
from libra_client.cli.exits import Exit
from libra_client.client import Result
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
    _add_port(inner)


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
        more="A device is known by its name, which begins with the pool's [mgm] node_basename."
        " With --cloud the pool manager is asked for what the cloud has: also devices that are not"
        " registered, whether they were delivered, their addresses and ports.",
        examples="  libra pool list\n  libra pool list --basename libra-stg --json\n"
        "  libra pool list --cloud",
    )
    source = listing.add_mutually_exclusive_group()
    source.add_argument(
        "--basename", metavar="NAME", help="what names begin with (default: the settings')"
    )
    source.add_argument("--cloud", action="store_true", help="ask the pool manager instead")
    options.add_common(listing)
    listing.set_defaults(run=_list, node=FUNCTION)


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


def _add_port(commands: options.Commands) -> None:
    port = options.add_command(
        commands,
        "port",
        about="give devices ports in further subnets, and take them away",
        examples="  libra pool port attach NAME my-vip --subnet ID --address 203.0.113.7\n"
        "  libra pool port detach NAME PORT",
    )
    inner = port.add_subparsers(title="commands", metavar="COMMAND", required=True)
    attach = options.add_command(
        inner,
        "attach",
        about="give a device a port, or change the addresses of the port of that key",
        more="The key is your own word for the port: the same key gives the same port again.",
        examples="  libra pool port attach NAME my-vip --subnet ID --address 203.0.113.7",
    )
    attach.add_argument("name", metavar="NAME", help="the device's name")
    attach.add_argument("key", metavar="KEY", help="what you call the port")
    attach.add_argument("--subnet", metavar="ID", help="subnet that it is in")
    attach.add_argument("--network", metavar="NAME", help="network of the subnet, name or id")
    attach.add_argument(
        "--ip", metavar="IP", help="its address in the subnet (default: a free one)"
    )
    several = (
        ("address", "addresses", "IP", "address that it may have besides, a VIP; may be repeated"),
        ("security-group", "security_groups", "NAME", "name or id; may be repeated"),
    )
    for option, target, word, what in several:
        attach.add_argument(
            f"--{option}", dest=target, metavar=word, action="append", default=None, help=what
        )
    _finish(attach, _attach_port)
    detach = options.add_command(
        inner,
        "detach",
        about="take a port from a device and give it back, for good",
        examples="  libra pool port detach NAME PORT --yes",
    )
    detach.add_argument("name", metavar="NAME", help="the device's name")
    detach.add_argument("port", metavar="PORT", help="the port's id")
    _finish(detach, _detach_port, yes=True)


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


_PORT_FIELDS = ("port", "mac", "ip", "cidr", "gateway", "mtu", "addresses")


def _attach_port(asked: argparse.Namespace) -> Exit:
    names = ("name", "key", "subnet", "network", "ip", "addresses", "security_groups")
    given = {name: getattr(asked, name) for name in names}
    message = {"action": "ATTACH_PORT", **{k: v for k, v in given.items() if v is not None}}
    result = _sent(asked, message)
    if options.wants_json(asked):
        output.show_json(result.answer)
        return Exit.OK if result.ok else Exit.FAIL
    if not result.ok:
        return sending.refused(asked, result)
    output.show_fields((name, _short(result.answer.get(name))) for name in _PORT_FIELDS)
    return Exit.OK


def _detach_port(asked: argparse.Namespace) -> Exit:
    if not asked.yes:
        what = f"Take port {output.plain(asked.port)} from {output.plain(asked.name)}?"
        confirm("detach cannot be undone", what)
    return _change(asked, "DETACH_PORT", name=asked.name, port=asked.port)


def _sent(asked: argparse.Namespace, message: Mapping[str, Any]) -> Result:
    return sending.send(asked, message, timeout=CHANGE_TIMEOUT, response_field=RESPONSE_FIELD)


def _change(asked: argparse.Namespace, action: str, **fields: str) -> Exit:
    result = _sent(asked, {"action": action, **fields})
    if options.wants_json(asked):
        output.show_json(result.answer)
        return Exit.OK if result.ok else Exit.FAIL
    if not result.ok:
        return sending.refused(asked, result)
    ip = result.answer.get("ip")
    output.say(f"{action}:", "PASS", *([] if ip is None else [ip]))
    return Exit.OK


_LISTED = ("name", "addr", "state", "delivered", "ports")


def _list_cloud(asked: argparse.Namespace) -> Exit:
    result = _sent(asked, {"action": "LIST_DEVICES"})
    if not result.ok:
        return sending.refused(asked, result)
    devices = result.answer.get("devices") or []
    if options.wants_json(asked):
        output.show_json(devices)
        return Exit.OK
    for one in devices:
        one["delivered"] = "yes" if one.get("delivered") else "no"
        one["ports"] = _short([port.get("ip") for port in one.get("ports") or []])
    output.show_table(_LISTED, ([one.get(name) for name in _LISTED] for one in devices))
    return Exit.OK


def _short(value: object) -> object:
    """A list as words with commas between; nothing where it is empty."""
    return (", ".join(map(str, value)) or None) if isinstance(value, list) else value


def _list(asked: argparse.Namespace) -> Exit:
    if asked.cloud:
        return _list_cloud(asked)
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
