"""How HAProxy and its keeper come to run as an ordinary user with one capability.

`setpriv` (util-linux, essential in Debian) does what would need ctypes here. A daemon that is no
root already starts them as itself, but hands on nothing of what it may do besides.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path

from libra_haproxy.errors import DiskError, StartFailed

_CAPABILITY = "+net_bind_service"
_CAPABILITY_BIT = 10  # CAP_NET_BIND_SERVICE, capabilities(7)


@dataclass(frozen=True)
class Identity:
    """Who HAProxy runs as: ids, or None for the daemon's own; and in which network namespace."""

    user: int | None
    group: int | None
    netns: str = ""

    def prefix(self) -> list[str]:
        """The words before a command that make it run as this identity, with low ports only."""
        there = ["nsenter", f"--net=/run/netns/{self.netns}", "--"] if self.netns else []
        if self.user is None or self.group is None:
            return [*there, *leaving_behind(ambient_capabilities())]
        return [
            *there,
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.group}",
            "--clear-groups",
            f"--bounding-set=-all,{_CAPABILITY}",
            f"--inh-caps=-all,{_CAPABILITY}",
            f"--ambient-caps=-all,{_CAPABILITY}",
            "--no-new-privs",
            "--",
        ]


def leaving_behind(ambient: int) -> list[str]:
    """The words before a command that keep it from `ambient` capabilities, a bit for each.

    That for low ports goes on. Pure.
    """
    if not ambient & ~(1 << _CAPABILITY_BIT):
        return []
    kept = f",{_CAPABILITY}" if ambient >> _CAPABILITY_BIT & 1 else ""
    return ["setpriv", f"--inh-caps=-all{kept}", f"--ambient-caps=-all{kept}", "--"]


def ambient_capabilities() -> int:
    """What this process hands on to whatever it executes, a bit for each capability."""
    found = re.search(
        r"^CapAmb:\s+([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE
    )
    return int(found[1], 16) if found else 0


def may_listen_on_low_ports(pid: int) -> bool:
    """Whether a running process has the capability for ports below 1024; False when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    effective = re.search(r"^CapEff:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return effective is not None and bool(int(effective[1], 16) >> _CAPABILITY_BIT & 1)


def identity(*, user: str, group: str) -> Identity:
    """Resolve the names of the settings. Only root can change; others stay who they are.

    Raises StartFailed naming the user or group that does not exist.
    """
    if os.geteuid() != 0 or not user:
        return Identity(None, None)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise StartFailed(f"there is no user {user!r} to run HAProxy as") from error
    try:
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError as error:
        raise StartFailed(f"there is no group {group!r} to run HAProxy as") from error
    return Identity(entry.pw_uid, gid)


def own(directory: Path, who: Identity) -> None:
    """Make a directory that HAProxy and its keeper write in, and nobody else. Raises DiskError."""
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        if who.user is not None and who.group is not None:
            os.chown(directory, who.user, who.group)
            directory.chmod(0o770)
    except OSError as error:
        raise DiskError(f"cannot use {directory}: {error.strerror}") from error
