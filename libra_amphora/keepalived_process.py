"""One running keepalived: started, found again after the agent's restart, stopped.

It is the agent's child but outlives it. A record of its pid and of when the kernel started it
tells the next agent which process it is; a pid file alone could name anybody's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from libra_amphora.files import replace
from libra_amphora.vrrp_errors import KeepalivedFailed
from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import DiskError
from libra_haproxy.pids import born, lives

LOG = logging.getLogger(__name__)

LOG_BYTES = 1 << 20
"""keepalived's own output is kept up to this size, then begun anew."""

_START_SECONDS = 5.0
_RELOAD_SECONDS = 3.0
_STOP_ROUNDS, _ROUND_SECONDS = 3, 1.5
_KILL_SECONDS = 5.0
_CHECK_SECONDS = 8.0
_POLL_SECONDS = 0.02
_RELOADED = re.compile(r": Reloading$", re.MULTILINE)  # its child's word; the parent adds dots
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

T = TypeVar("T")
Inside = Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"]


@dataclass(frozen=True)
class Part:
    """One of keepalived's parts: how it is asked to be that alone, and its child's pid file."""

    alone: str
    pid_option: str
    pid_file: str


VRRP = Part("--vrrp", "-r", "vrrp.pid")
CHECKERS = Part("--check", "-c", "checkers.pid")


class KeepalivedProcess:
    """The keepalived of one run directory; `inside` starts a program in the node's namespace."""

    def __init__(self, *, program: Path, run_dir: Path, inside: Inside, part: Part = VRRP) -> None:
        self._program = program
        self._inside = inside
        self._part = part
        self.config = run_dir / "keepalived.conf"
        self._log = run_dir / "keepalived.log"
        self._pid_file = run_dir / "keepalived.pid"
        self._child_pid_file = run_dir / part.pid_file
        self._record = run_dir / "keepalived.json"
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The pid of the keepalived that runs now."""
        self._reap()
        known = self._known()
        return known[0] if known is not None and lives(*known) else None

    def last_pid(self) -> int | None:
        """The pid of the keepalived that runs or ran last."""
        known = self._known()
        return None if known is None else known[0]

    def check(self, config: Path) -> None:
        """Have keepalived test a file. Raises KeepalivedFailed with its complaints."""
        said = self._output([str(self._program), "-t", self._part.alone, "-f", str(config)])
        if said is not None:
            raise KeepalivedFailed(said.replace(f"{config}: ", "").replace(str(config), "file"))

    def start(self) -> int:
        """Start one and wait until it works. Raises KeepalivedFailed with its last words."""
        self._child_pid_file.unlink(missing_ok=True)
        mark = self._size()
        child = self._spawn()
        self._child = child
        try:
            self._remember(child.pid)
        except (OSError, DiskError) as error:
            self._kill_all(child.pid)
            raise KeepalivedFailed(f"cannot write {self._record}: {error}") from error
        deadline = Deadline.after(_START_SECONDS)
        while not deadline.passed:
            if child.poll() is not None:
                raise KeepalivedFailed(f"keepalived ended at once: {self._said_since(mark)}")
            if self._child_pid() is not None and "Startup complete" in self._said_since(
                mark, most=LOG_BYTES
            ):
                return child.pid
            time.sleep(_POLL_SECONDS)
        self._kill_all(child.pid)
        raise KeepalivedFailed(
            f"keepalived did not start within {_START_SECONDS:g} s: {self._said_since(mark)}"
        )

    def reload(self) -> None:
        """Have it read its file again, and wait until it does.

        A stop in that moment would be lost between its two processes. Raises KeepalivedFailed
        when there is none to do it.
        """
        pid, mark = self.pid(), self._size()
        if pid is None:
            raise KeepalivedFailed("keepalived is not running")
        os.kill(pid, signal.SIGHUP)
        deadline = Deadline.after(_RELOAD_SECONDS)
        while not deadline.passed:
            if _RELOADED.search(self._said_since(mark, most=LOG_BYTES)):
                return
            if self.pid() is None:
                raise KeepalivedFailed(f"keepalived ended: {self._said_since(mark)}")
            time.sleep(_POLL_SECONDS)
        LOG.warning("keepalived did not say that it read its file: %s", self._said_since(mark))

    def stop(self) -> bool:
        """Stop it: it gives up its addresses first, and tells its peers. Gives whether it ran.

        One that does not end in time is killed; its addresses are still there then.
        """
        pid = self.pid()
        if pid is None:
            self._record.unlink(missing_ok=True)
            return False
        asked: int | None = pid
        for _ in range(_STOP_ROUNDS):
            with contextlib.suppress(ProcessLookupError):
                if asked is not None:
                    os.kill(asked, signal.SIGTERM)
            if self._ends(pid, _ROUND_SECONDS):
                break
            # Its child may not have heard it.
            asked = self._child_pid()
        else:
            self._kill_all(pid)
        self._record.unlink(missing_ok=True)
        return True

    def wait(self, pid: int, woken: int, *, seconds: float) -> bool:
        """Wait until a process ends, at most until `woken` can be read; gives whether it ended."""
        try:
            ended = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            ready, _, _ = select.select([ended, woken], [], [], seconds)
        finally:
            os.close(ended)
        return ended in ready

    def bound_log(self) -> None:
        """Begin the log anew when it is full; it is opened for appending, so writers go on."""
        with contextlib.suppress(OSError):
            if self._size() > LOG_BYTES:
                os.truncate(self._log, 0)

    def end_leftovers(self) -> None:
        """Kill a child that outlived its parent: two of them would fight."""
        pid = self._child_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # -- in parts ----------------------------------------------------------------------------

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [
            str(self._program), "--dont-fork", "--dont-respawn", self._part.alone,
            "--log-console", "--no-syslog", "-f", str(self.config),
            "-p", str(self._pid_file), self._part.pid_option, str(self._child_pid_file),
        ]  # fmt: skip
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            log = os.open(self._log, flags, 0o600)
        except OSError as error:
            raise KeepalivedFailed(f"cannot write {self._log}: {error.strerror}") from error
        try:
            return self._inside(
                lambda: subprocess.Popen(
                    command,
                    env={"PATH": _PATH},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        except OSError as error:
            raise KeepalivedFailed(f"cannot run {self._program}: {error.strerror}") from error
        finally:
            os.close(log)

    def _output(self, command: list[str]) -> str | None:
        """What a failing command says; None when it succeeds."""
        try:
            child = self._inside(
                lambda: subprocess.Popen(
                    command,
                    env={"PATH": _PATH},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        except OSError as error:
            raise KeepalivedFailed(f"cannot run {self._program}: {error.strerror}") from error
        try:
            said, _ = child.communicate(timeout=_CHECK_SECONDS)
        except subprocess.TimeoutExpired as error:
            child.kill()
            child.communicate()
            raise KeepalivedFailed(
                f"keepalived's test did not end within {_CHECK_SECONDS:g} s"
            ) from error
        if child.returncode == 0:
            return None
        return said.decode("utf-8", "replace").strip() or f"exit code {child.returncode}"

    def _child_pid(self) -> int | None:
        """The pid of its child, if the process of that pid is a keepalived of ours."""
        try:
            pid = int(self._child_pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self._child_pid_file).encode() in command else None

    def _ends(self, pid: int, seconds: float) -> bool:
        deadline = Deadline.after(seconds)
        while not deadline.passed:
            self._reap()
            try:
                born(pid)
            except OSError:
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _kill_all(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.end_leftovers()
        self._ends(pid, _KILL_SECONDS)

    def _remember(self, pid: int) -> None:
        replace(self._record, json.dumps({"schema": 1, "pid": pid, "born": born(pid)}).encode())

    def _known(self) -> tuple[int, str] | None:
        try:
            record = json.loads(self._record.read_bytes())
            return int(record["pid"]), str(record["born"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _reap(self) -> None:
        """Let an ended one go; it is our child only until this agent ends."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _said_since(self, mark: int, *, most: int = 800) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(mark)
                return file.read().decode("utf-8", "replace").strip()[-most:]
        except OSError:
            return ""
