"""HAProxy driven by hand: stop and start, `-sf`, and a checked reload through its master."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path

from tests.bench.members import Wanted
from tests.bench.systems import System, ask, run
from tests.support.need import program
from tests.support.wait import until

_CONFIG = """\
global
    stats socket {admin} level admin mode 600
defaults
    mode {mode}
    option contstats
    timeout connect 5s
    timeout client {seconds}s
    timeout server 30s
    timeout http-keep-alive 10s
frontend in
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
{check}{servers}
"""


class HaproxyWay(System):
    """What the three ways have in common: the file and the admin socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.haproxy = program("haproxy")
        self.config = self.folder / "haproxy.cfg"
        self.admin = self.folder / "admin.sock"
        self.pid_file = self.folder / "pid"
        self._pids: set[int] = set()

    def write(self, wanted: Wanted) -> None:
        interval = "check inter 1s rise 1 fall 1" if wanted.monitor else "check inter 30s"
        new = self.config.with_suffix(".new")
        new.write_text(
            _CONFIG.format(
                admin=self.admin,
                port=self.port,
                mode="tcp" if wanted.tcp else "http",
                seconds=wanted.client_seconds,
                check="    option httpchk GET /\n" if wanted.monitor else "",
                servers="\n".join(
                    f"    server id-{m.number} 127.0.0.1:{m.port} weight {m.weight} {interval}"
                    for m in wanted.members
                ),
            )
        )
        new.rename(self.config)

    def check(self) -> None:
        run(self.haproxy, "-c", "-q", "-f", str(self.config))

    def spawn(self, *more: str) -> None:
        run(self.haproxy, "-D", "-q", "-f", str(self.config), "-p", str(self.pid_file), *more)
        self._pids.add(self.pid)

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text().split()[0])

    def start(self, wanted: Wanted) -> None:
        self.write(wanted)
        self.spawn()
        self.wait()

    def weight_of(self, number: int) -> int | None:
        with contextlib.suppress(OSError):
            for line in ask(self.admin, "show servers state").splitlines():
                words = line.split(" ")
                if len(words) > 7 and words[3] == f"id-{number}":
                    return int(words[7])
        return None

    def stop(self) -> None:
        for pid in self._pids:
            if self._is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(self._is_ours, self._pids)), f"{self.name} is gone")

    def _is_ours(self, pid: int) -> bool:
        try:
            return str(self.config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False


class StopStart(HaproxyWay):
    """(a) Write, check, stop, start."""

    name = "haproxy-stop-start"

    def apply(self, wanted: Wanted) -> None:
        self.write(wanted)
        self.check()
        old = self.pid
        os.kill(old, signal.SIGTERM)
        until_gone(old)
        self.spawn()


class SoftFinish(HaproxyWay):
    """(b) Write, check, a new process that asks the old one to finish."""

    name = "haproxy-sf"

    def apply(self, wanted: Wanted) -> None:
        self.write(wanted)
        self.check()
        self.spawn("-sf", str(self.pid))


class CheckedReload(HaproxyWay):
    """(c) Write, check, check again, reload through the master socket."""

    name = "haproxy-reload"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.master_socket = self.folder / "master.sock"
        self._master: subprocess.Popen[bytes] | None = None

    def start(self, wanted: Wanted) -> None:
        self.write(wanted)
        self._master = subprocess.Popen(
            [self.haproxy, "-W", "-S", str(self.master_socket), "-f", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.wait()

    def apply(self, wanted: Wanted) -> None:
        self.write(wanted)
        self.check()
        self.check()
        # A master that is still busy with the last reload refuses for a moment.
        until(self._reloaded, "the master takes the reload")

    def _reloaded(self) -> bool:
        try:
            ask(self.master_socket, "reload")
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._master is not None:
            # The group has its workers, new and leaving.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._master.pid, signal.SIGKILL)
            self._master.wait(10)


def until_gone(pid: int) -> None:
    """Wait for the end of a process, without a pause."""
    pidfd = None
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
    if pidfd is None:
        return
    try:
        select.select([pidfd], [], [], 10)
    finally:
        os.close(pidfd)
