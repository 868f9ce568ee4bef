"""A machine that systemd has booted: all of `Machine`, with systemd as its process 1.

It has control groups of its own, without controllers where this machine's are of version 1, and no
bus: systemctl speaks to systemd itself.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.support.machine import Machine
from tests.support.need import program
from tests.support.wait import until

_TARGET = "libra-test.target"

# Runs as process 1 after the tree was laid over this machine's files at $1/root: gives it devices
# and control groups, makes it the root, for services have mounts of their own, and becomes systemd.
_BECOME = rf"""
cd "$1/root"
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
umount -l dev
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm .old
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
printf '[Unit]\nDefaultDependencies=no\n' > etc/systemd/system/{_TARGET}
pivot_root . .old
umount -l .old
echo up
exec env -i container=libra {{systemd}} --unit={_TARGET} >/dev/null 2>&1 </dev/null
"""


class Systemd(Machine):
    """Booted with nothing but what the test starts; skips where systemd cannot be."""

    def __init__(self, *, folder: Path, tree: Path) -> None:
        systemd = program("systemd")
        self._groups = _own_groups()
        super().__init__(
            folder=folder,
            tree=tree,
            become=_BECOME.replace("{systemd}", systemd),
            groups=self._groups,
        )
        until(lambda: self.systemctl("is-system-running").strip() == "running", "systemd is up")

    def end(self) -> None:
        super().end()
        until(self._removed, "its control groups are gone")

    def systemctl(self, *words: str) -> str:
        """What systemctl says, whatever its exit code."""
        return self.run("systemctl", "--no-pager", *words).stdout

    def shown(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def _removed(self) -> bool:
        for place in sorted(self._groups.glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                place.rmdir()
        return not self._groups.exists()


def _own_groups() -> Path:
    """A new control group for all of a machine."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    root = next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("systemd needs control groups of version 2, and none are mounted")
    made = root / f"libra-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"systemd needs control groups of its own: {error}")
    return made
