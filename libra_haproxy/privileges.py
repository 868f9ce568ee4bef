"""How HAProxy and its keeper come to run as an ordinary user with one capability.

`setpriv` (util-linux, essential in Debian) does what would need ctypes here. A daemon that is no
root already starts them as itself.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from libra_haproxy.errors import StartFailed

_CAPABILITY = "+net_bind_service"


@dataclass(frozen=True)
class Identity:
    """Who HAProxy runs as: ids, or None for the daemon's own."""

    user: int | None
    group: int | None

    def prefix(self) -> list[str]:
        """The words before a command that make it run as this identity, with low ports only."""
        if self.user is None or self.group is None:
            return []
        return [
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
