"""Who the processes in a device are: an ordinary user without any capability."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from libra_pool_mgm.clouds.errors import BadRequest

_SECONDS = 20.0
_PROBE = """
import os, sys
import libra_worker.main
if not os.access(sys.argv[1], os.X_OK):
    sys.exit(sys.argv[1] + " is not there, or not for this user to run")
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user and a group by name, with their ids; `changes` where we are root and they are not."""

    user: str
    group: str
    uid: int
    gid: int
    changes: bool

    def prefix(self) -> list[str]:
        """The words before a command that make it run as this user, with no capability.

        Root itself keeps what it has: that is what a setting of root asks for.
        """
        if not self.changes and self.uid == 0:
            return []
        words = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
        if self.changes:
            words += [
                f"--reuid={self.uid}",
                f"--regid={self.gid}",
                "--clear-groups",
                "--bounding-set=-all",
            ]
        return [*words, "--"]

    @property
    def is_root(self) -> bool:
        """Whether what runs in a device is root, who needs no user namespace to have rights."""
        return self.uid == 0

    def give(self, path: Path) -> None:
        """Make a folder or a file this user's."""
        if self.changes:
            os.chown(path, self.uid, self.gid)

    def prove(self, haproxy: Path) -> None:
        """See that this user can run the worker and HAProxy; raises BadRequest with the reason."""
        # `env`, since setpriv itself still has our rights when it looks the command up.
        command = [*self.prefix(), "env", sys.executable, "-c", _PROBE, str(haproxy)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BadRequest(f"the worker cannot be run as user {self.user}: {error}") from error
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BadRequest(
                f"[mgm:local] user = {self.user}: cannot run a device's programs: {said}"
            )


def account(*, user: str, group: str) -> Account:
    """The account of the settings; whoever is no root stays who it is.

    Raises BadRequest naming the user or group that does not exist.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        names = {"user": _user_name(uid), "group": _group_name(gid)}
        return Account(**names, uid=uid, gid=gid, changes=False)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise BadRequest(f"[mgm:local] user: there is no user {user!r}") from error
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise BadRequest(f"[mgm:local] group: there is no group {group!r}") from error
    return Account(user=user, group=group, uid=entry.pw_uid, gid=gid, changes=entry.pw_uid != 0)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user need not have a name
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
