"""The guard of a device: the process that its network namespace is kept for. Standard library only.

The pool manager starts one and stays in conversation with it, a JSON object a line, until the
device is up:

    guard      {"ready": true}      the namespace is there, still without a link
    manager    {"command": [...], "relays": [[port in the device, host, port], ...]}
    guard      {"up": true}         the worker was started, or {"fault": "why not"}

Should the manager be killed meanwhile, the guard sees its end of the conversation closed and ends,
and the half-built device with it. From then on it relays the worker's connections to gearmand,
needs no right at all and has given them up, and ends when the device's init does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.init import UP
from libra_pool_mgm.clouds.local.marks import (
    GUARD_BYTE,
    LOCK,
    NETWORK_FD,
    OUTER_FD,
    USER_NAMESPACE,
)
from libra_pool_mgm.clouds.local.relay import Relay, listen, serve_until

_LOOPBACK = "127.0.0.1"


class Refused(Exception):
    """The device cannot be; the text says why."""


def main(arguments: list[str]) -> int:
    """Guard a device until it ends; 0 when it was asked to."""
    parser = argparse.ArgumentParser(prog="libra_guard", description="a local device's guard")
    parser.add_argument("--folder", required=True, help="the device's, for who looks at processes")
    parser.add_argument("--lock", required=True, type=int, help="descriptor of its lock file")
    parser.add_argument("--outer", required=True, type=int, help="descriptor of its namespace")
    parser.add_argument("--owner", help="UID:GID of its network's own user namespace")
    parser.add_argument("--keep-groups", action="store_true", help="this user may not change them")
    given = parser.parse_args(arguments)
    # They come under the numbers that they had at the pool manager, which may be any.
    outer, lock = (kernel.out_of_the_way(one) for one in (given.outer, given.lock))
    kernel.fix(outer, OUTER_FD)
    try:
        kernel.hold(lock, GUARD_BYTE)
        return _guard(lock, given.owner, regroups=not given.keep_groups)
    except (OSError, Refused) as error:
        with contextlib.suppress(OSError):
            _say({"fault": str(error)})
        sys.stderr.write(f"{error}\n")
        return 1


def _guard(lock: int, owner: str | None, *, regroups: bool) -> int:
    host = kernel.this_network()
    namespace = None
    if owner is None:
        kernel.leave_for_a_new_network()
    else:
        uid, gid = map(int, owner.split(":"))
        namespace = kernel.leave_for_an_owned_network(uid=uid, gid=gid, regroups=regroups)
        _let_ping(gid)
    kernel.fix(kernel.out_of_the_way(kernel.this_network()), NETWORK_FD)
    kernel.switch_loopback_on()
    _open_low_ports()
    _say({"ready": True})
    line = sys.stdin.buffer.readline()
    if not line:
        raise Refused("the pool manager left before the device was up")
    plan: dict[str, Any] = json.loads(line)
    relays = [
        Relay(listener=listen(_LOOPBACK, inner), host=name, port=port)
        for inner, name, port in plan["relays"]
    ]
    init = _start_init(plan["command"], lock, namespace)
    kernel.enter_network(host)
    os.close(host)
    kernel.drop_capabilities()
    _say({"up": True})
    _end_conversation()
    return asyncio.run(_watch(init, relays))


def _open_low_ports() -> None:
    """Let ordinary users listen on every port of this device: it has nobody else."""
    # Where /proc/sys may not be written, ports above 1023 are all there is.
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def _let_ping(gid: int) -> None:
    """Let HAProxy's checks of members by ping do without any right."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ping_group_range").write_text(f"{gid} {gid}")


def _start_init(command: list[str], lock: int, namespace: int | None) -> subprocess.Popen[bytes]:
    given = {LOCK: lock} | ({} if namespace is None else {USER_NAMESPACE: namespace})
    init = subprocess.Popen(
        [str(given.get(word, word)) for word in command],
        stdin=subprocess.PIPE,  # never written to: its end tells of ours
        stdout=subprocess.PIPE,
        pass_fds=tuple(given.values()),
        cwd="/",
    )
    assert init.stdout is not None  # noqa: S101 - asked for above
    if init.stdout.readline() != UP:
        raise Refused(f"the device's first process ended with exit code {init.wait()}")
    if namespace is not None:
        os.close(namespace)
    return init


async def _watch(init: subprocess.Popen[bytes], relays: list[Relay]) -> int:
    """Relay until the init ends, or end it when asked to."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    process = os.pidfd_open(init.pid)
    loop.add_reader(process, over.set)
    await serve_until(relays, over)
    asked = init.poll() is None
    if asked and init.stdin is not None:
        init.stdin.close()
    code = init.wait()
    if code < 0:  # otherwise it has said why itself
        sys.stderr.write(f"the device's first process was killed by signal {-code}\n")
    return 0 if asked else 1


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _end_conversation() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
