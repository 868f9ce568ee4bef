"""A machine without systemd that has Libra installed: this one's files below those of a tree.

Own mounts, processes and network; what happens there is gone with it. Needs root.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.need import program
from tests.support.wait import until

ROOT = Path(__file__).resolve().parents[2]

# The shell's own: a small machine has no procps.
_KILL = ("bash", "-c", 'kill -KILL "$1"', "kill")

# Runs as process 1: lays the tree over this machine's files, and becomes what it is to be.
_BOOT = r"""
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
cp -a "$2/." "$1/upper/"
chmod 755 "$1" "$1/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
for folder in run tmp var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$1/root/$folder"; done
chmod 755 "$1/root/run"
mkdir -p "$1/root/run/lock"
ip link set lo up
"""

# A process 1 that says so, and reaps what ends.
_BECOME = r"""
exec chroot "$1/root" /bin/bash -c 'echo up; trap : CHLD; while :; do sleep 0.2 & wait; done'
"""

# Into a control group, if there is one, before anything else.
_JOIN = '[ -z "$1" ] || echo $$ > "$1/cgroup.procs"; shift; exec "$@"'


def must_be_possible() -> None:
    """Skip where this user cannot make such a machine."""
    if os.geteuid() != 0:
        pytest.skip("a machine of mounts and namespaces needs root")
    for name in ("unshare", "nsenter", "chroot", "ip", "flock", "setpriv"):
        program(name)


def install(tree: Path, extras: str = "") -> None:
    """`make install` into an empty tree."""
    done = subprocess.run(
        [program("make"), "-s", "install", f"DESTDIR={tree}", f"EXTRAS={extras}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Machine:
    """A machine on which `tree` is installed; `folder` is empty and where it is put together.

    `become` is the script of its process 1, `groups` a control group for all of its processes.
    """

    def __init__(
        self, *, folder: Path, tree: Path, become: str = _BECOME, groups: Path | None = None
    ) -> None:
        self._spaces: tuple[str, ...] = ("--mount", "--pid", "--net", "--ipc", "--uts")
        if groups is not None:
            self._spaces += ("--cgroup",)
        self._boot = subprocess.Popen(
            [
                *("bash", "-c", _JOIN, "join", str(groups or "")),
                *(program("unshare"), *self._spaces, "--fork", "--kill-child"),
                *("bash", "-c", _BOOT + become, "boot", str(folder), str(tree)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._boot.stdout is not None
        assert self._boot.stdout.readline() == "up\n", "the machine does not come up"
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text()
        self._first = children.split()[0]

    def end(self) -> None:
        """Switch it off: nothing of it is left."""
        self._boot.kill()
        self._boot.wait()

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command there, as root."""
        return subprocess.Popen(
            self._words(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root, and wait for it; output and errors together."""
        return subprocess.run(
            self._words(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def must(self, *command: str) -> str:
        """Run a command that must succeed; gives its output."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}"
        return done.stdout

    def init(self, script: str, action: str) -> int:
        """Call an init script; gives its exit code."""
        done = self.run(f"/etc/init.d/{script}", action)
        print(f"{script} {action}: {done.returncode}: {done.stdout.strip()}")
        return done.returncode

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file there."""
        where = self._path(path)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text)
        where.chmod(mode)

    def read(self, path: str) -> str:
        """Read a file there."""
        return self._path(path).read_text()

    def has(self, path: str) -> bool:
        """Whether there is a file."""
        return self._path(path).exists()

    def gearmand(self) -> subprocess.Popen[str]:
        """Start a job server on its usual port, and wait until it answers."""
        started = self.start(
            program("gearmand"), "--listen=127.0.0.1", "--port=4730", "--verbose=ERROR"
        )
        until(lambda: self.run("gearadmin", "--server-version").returncode == 0, "gearmand answers")
        return started

    def libra(self, *words: str) -> dict[str, Any]:
        """Run the `libra` command with --json; gives its answer."""
        answer: dict[str, Any] = json.loads(self.must("libra", *words, "--json"))
        return answer

    def kill_all(self) -> None:
        """What a power cut does to processes and to /run."""
        for process in self._path("/proc").iterdir():
            if process.name.isdecimal() and process.name != "1":
                self.run(*_KILL, process.name)
        self.must("bash", "-c", "rm -rf /run/* /tmp/*; mkdir -p /run/lock")

    def status_of(self, pid: str) -> dict[str, str]:
        """The fields of /proc/PID/status of one of its processes."""
        lines = self.read(f"/proc/{pid}/status").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def processes(self, word: str) -> list[str]:
        """Its living processes whose command line has `word` in it, by number."""
        found = []
        for folder in sorted(self._path("/proc").iterdir(), key=lambda one: one.name):
            try:
                line = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if folder.name.isdecimal() and any(word.encode() in part for part in line):
                found.append(folder.name)
        return found

    def stop_all(self, *number: str) -> None:
        """Send SIGKILL to some of its processes."""
        for one in number:
            self.must(*_KILL, one)

    def _path(self, path: str) -> Path:
        return Path(f"/proc/{self._first}/root{path}")

    def _words(self, command: Sequence[str]) -> list[str]:
        return [
            program("nsenter"),
            *(f"--target={self._first}", *self._spaces),
            *("--root", "--", "env", "-i", "--chdir=/"),
            *(
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL=C.UTF-8",
                f"LIBRA_TEST_RUN={os.environ.get('LIBRA_TEST_RUN', '')}",
            ),
            *command,
        ]
