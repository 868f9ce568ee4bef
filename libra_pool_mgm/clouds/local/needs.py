"""What this machine must have for the local cloud, found out by trying, and named when missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from ipaddress import IPv4Network

from libra_pool_mgm.clouds.errors import CloudUnavailable, Unauthorized
from libra_pool_mgm.clouds.local import kernel, network

_NEEDED = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}  # capabilities(7)
_ROOT_NEEDS = {
    0: "CAP_CHOWN",
    1: "CAP_DAC_OVERRIDE",
    5: "CAP_KILL",
    6: "CAP_SETGID",
    7: "CAP_SETUID",
    8: "CAP_SETPCAP",
}
_PROGRAMS = ("setpriv", "unshare")
_SECONDS = 10.0

OWN_PROCESSES = (
    "unshare",
    "--pid",
    "--mount",
    # The host's mounts stay as they are: the new /proc is mounted on one made private.
    "--propagation=unchanged",
    "--mount-proc",
    "--fork",
    "--kill-child",
    "--",
)
"""The words before a command that give it process ids of its own."""

_RANGE = IPv4Network("198.18.0.0/15")
_GATEWAY, _DEVICE = _RANGE[1], _RANGE[2]


def missing_capabilities(effective: int, *, changes_user: bool) -> list[str]:
    """The names of what is needed and not among the `effective` ones. Pure.

    `changes_user`: root that runs devices as an ordinary user needs more than one who is it.
    """
    needed = _NEEDED | (_ROOT_NEEDS if changes_user else {})
    return [name for bit, name in sorted(needed.items()) if not effective >> bit & 1]


def prove(*, changes_user: bool) -> None:
    """See that devices can be made here.

    Raises Unauthorized naming the capabilities that are missing, CloudUnavailable naming the
    program or the kernel's part that is.
    """
    missing = missing_capabilities(kernel.capabilities(), changes_user=changes_user)
    if missing:
        raise Unauthorized(
            f"the local cloud needs {', '.join(missing)}: run as root, or give the service these"
            " (AmbientCapabilities=)"
        )
    for name in _PROGRAMS:
        if shutil.which(name) is None:
            raise CloudUnavailable(f"the local cloud needs the program {name} (util-linux)")
    _try_processes()
    # A thread of its own: should it not find its way back, it takes nobody along.
    failed: list[OSError] = []
    thread = threading.Thread(target=_try, args=(failed,), name="kernel-check")
    thread.start()
    thread.join()
    if failed:
        raise CloudUnavailable(f"the local cloud cannot work here: {failed[0]}") from failed[0]


def _try_processes() -> None:
    """Make process ids of their own, with the /proc that goes with them."""
    try:
        done = subprocess.run(
            [*OWN_PROCESSES, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CloudUnavailable(f"the local cloud cannot work here: {error}") from error
    if done.returncode:
        raise CloudUnavailable(f"the local cloud cannot work here: {done.stderr.strip()}")


def _try(failed: list[OSError]) -> None:
    """Make an outer namespace and a device's, and connect them; both end with the thread."""
    opened: list[int] = []
    try:
        for _ in range(2):
            kernel.leave_for_a_new_network()
            opened.append(kernel.this_network())
        outer, device = opened
        network.lay_out(outer, gateway=_GATEWAY, devices=_RANGE)
        network.link(
            outer,
            device,
            number=2,
            address=_DEVICE,
            gateway=_GATEWAY,
            devices=_RANGE,
        )
    except OSError as error:
        failed.append(error)
    finally:
        for descriptor in opened:
            os.close(descriptor)
