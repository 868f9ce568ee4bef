"""A daemon's side of the keeper: start one, ask it, stop it, read what HAProxy said."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from libra_haproxy.deadline import Deadline
from libra_haproxy.errors import DiskError, HaproxyDown, HaproxyTimeout, StartFailed
from libra_haproxy.keeper import ALREADY_RUNNING, LOCK_NAME
from libra_haproxy.ledger import Books, read_books
from libra_haproxy.logbounds import Bounds
from libra_haproxy.privileges import Identity

_ANSWER_SECONDS = 4.0
_STOP_SECONDS = 12.0
_START_SECONDS = 5.0
_DYING_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class KeeperStatus:
    """What a keeper says of itself and of its HAProxy; `pid` is None while none runs.

    `deaths` counts how often HAProxy ended by itself since the keeper `keeper` (its pid) started;
    `adopted` says that it outlived an earlier keeper; `open_files` is the limit that HAProxy gets.
    `lines_lost` is how many access log lines HAProxy could not get rid of, `lines_dropped` how
    many found no room on disk or were removed before they were archived.
    """

    keeper: int
    pid: int | None
    adopted: bool
    deaths: int
    last_end: str
    open_files: int
    lines_lost: int
    lines_dropped: int


OFF_NAME = "keeper.off"
"""In the run directory: the keeper was told to stop, and a service must not start it again."""


class KeeperClient:
    """Speaks to the keeper of one run directory; starts it as `identity`.

    Where the keeper `is_service`, a service manager starts it as soon as there is something to
    serve (`libra_keeper`), and it is only waited for.
    """

    def __init__(
        self,
        *,
        run_dir: Path,
        config: Path,
        ledger: Path,
        logs: Path,
        log_bounds: Bounds,
        haproxy: Path,
        identity: Identity,
        logfile: Path | None = None,
        is_service: bool = False,
    ) -> None:
        self._is_service = is_service
        self._off = run_dir / OFF_NAME
        self._run_dir = run_dir
        self._ledger = ledger
        self._logs = logs
        self._log_bounds = log_bounds
        self._logfile = logfile
        self._config = config
        self._haproxy = haproxy
        self._identity = identity
        self._log = run_dir / "keeper.log"
        self._children: list[subprocess.Popen[bytes]] = []

    def status(self) -> KeeperStatus | None:
        """What the keeper says, or None when there is none. Raises HaproxyTimeout if it hangs."""
        said = self._ask("status")
        return None if said is None else _status(said)

    def stop(self) -> None:
        """Stop HAProxy and its keeper, and wait until both are gone; none running is no fault."""
        if self._is_service:
            self._off.touch(mode=0o640)
        self._ask("stop", seconds=_STOP_SECONDS)
        self._wait_until_gone()
        self._reap()

    def hold(self) -> None:
        """Have the serving process read to its end, however soon it is made to leave."""
        self._ask("hold")

    def books(self) -> Books:
        """What went through each frontend so far; without a keeper, what it last put down."""
        said = self._ask("totals")
        if said is None:
            return read_books(self._ledger)
        return Books(
            since=said.get("since", 0),
            totals={frontend: tuple(counts) for frontend, counts in said["totals"].items()},
        )

    def seal(self, frontend: str) -> bool:
        """Rotate the access log of a frontend; False where there is nothing in it.

        Raises HaproxyDown without a keeper, DiskError where it cannot, or HaproxyTimeout.
        """
        said = self._ask("seal", frontend=frontend)
        if said is None:
            raise HaproxyDown("HAProxy's keeper, which writes the access logs, does not run")
        if "sealed" not in said:
            why = said.get("failed", f"the keeper cannot write in {self._logs}")
            raise DiskError(f"the access log cannot be rotated: {why}")
        return bool(said["sealed"])

    def rebound_logs(self) -> None:
        """Have a keeper that was started with older settings keep to the present bounds."""
        self._ask("bounds", bounds=asdict(self._log_bounds))

    def start(self) -> KeeperStatus:
        """Start a keeper, which adopts a HAProxy that runs already or starts one.

        Returns when it answers. Raises StartFailed with its last words.
        """
        mark = self.log_mark()
        self._off.unlink(missing_ok=True)
        child = None if self._is_service else self._spawn()
        deadline = Deadline.after(_START_SECONDS)
        while not deadline.passed:
            status = self.status()
            if status is not None:
                return status
            ended = None if child is None else child.poll()
            if ended == ALREADY_RUNNING:
                # One that was stopped, or killed, answers no more and has its lock to the last.
                time.sleep(_DYING_SECONDS)
                child = self._spawn()
            elif ended is not None:
                break
            time.sleep(0.01)
        if child is None:
            raise StartFailed("the service of HAProxy's keeper (libra_keeper) does not run")
        raise StartFailed(f"the keeper did not start: {self.log_since(mark).strip()[-500:]}")

    @property
    def command(self) -> list[str]:
        """The words that run a keeper, as whoever calls."""
        return [*_python(), *self._arguments()]

    @property
    def wanted(self) -> bool:
        """Whether there is something to serve, and nobody has said that it shall not be."""
        return self._config.exists() and not self._off.exists()

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._reap()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            log = os.open(self._log, flags, 0o640)
            try:
                child = subprocess.Popen(
                    [*self._identity.prefix(), *self.command],
                    env={},
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            finally:
                os.close(log)
        except OSError as error:
            raise StartFailed(f"cannot start the keeper: {error.strerror}") from error
        self._children.append(child)
        return child

    def log_mark(self) -> int:
        """The present end of the log, for `log_since`."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def log_since(self, mark: int) -> str:
        """What HAProxy and its keeper have said since `mark`."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(mark if mark <= size else 0)
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _wait_until_gone(self) -> None:
        """Wait for the lock that a keeper holds for life, so that the next one finds it free."""
        try:
            lock = os.open(self._run_dir / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        deadline = Deadline.after(_START_SECONDS)
        try:
            while not deadline.passed:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                time.sleep(0.005)
        finally:
            os.close(lock)

    def _arguments(self) -> list[str]:
        return [
            "--haproxy", str(self._haproxy),
            "--config", str(self._config),
            "--run-dir", str(self._run_dir),
            "--ledger", str(self._ledger),
            "--logs", str(self._logs),
            "--log-bounds", json.dumps(asdict(self._log_bounds)),
            *(["--logfile", str(self._logfile)] if self._logfile else []),
        ]  # fmt: skip

    def _ask(
        self, what: str, *, seconds: float = _ANSWER_SECONDS, **more: object
    ) -> dict[str, Any] | None:
        """Ask the keeper; None when there is none, or when it was just leaving."""
        deadline = Deadline.after(seconds)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(deadline.left)
                connection.connect(str(self._run_dir / "keeper.sock"))
                connection.sendall(json.dumps({"do": what, **more}).encode() + b"\n")
                answer = connection.makefile("rb").readline()
        except TimeoutError as error:
            raise HaproxyTimeout("HAProxy's keeper does not answer") from error
        except OSError:
            return None
        if not answer:
            return None
        said: dict[str, Any] = json.loads(answer)
        return said

    def _reap(self) -> None:
        """Let ended keepers go; they are our children only until this daemon ends."""
        self._children = [child for child in self._children if child.poll() is None]


def _python() -> list[str]:
    """Python without site-packages: the keeper needs the standard library alone, and is small."""
    root = str(Path(__file__).resolve().parents[1])
    start = (
        f"import sys; sys.path.append({root!r}); "
        "from libra_haproxy.keeper import main; sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-I", "-S", "-c", start]


def _status(said: dict[str, Any]) -> KeeperStatus:
    return KeeperStatus(
        keeper=said["keeper"],
        pid=said["pid"],
        adopted=said["adopted"],
        deaths=said["deaths"],
        last_end=said["last_end"],
        open_files=said["open_files"],
        lines_lost=said.get("lines_lost", 0),
        lines_dropped=said.get("lines_dropped", 0),
    )
