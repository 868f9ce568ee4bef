"""The keeper: HAProxy's parent, one small process for each Instance, standard library only.

It starts `haproxy -W` in the foreground, starts it again within a second when it dies by itself,
and answers on a socket of its own. Daemons come, crash, go and are upgraded beside it; traffic
does not notice. Should the keeper itself be killed, HAProxy goes on, and the next keeper adopts
it: the process behind the master socket is asked of the kernel, never of a pid file.

    request   one JSON line: {"do": "status"}, "hold", "totals", "seal", "bounds" or "stop"
    answer    one JSON line, then the connection is closed

It also reads HAProxy's counters (`meter.py`): "hold" is asked before a reload, so that the leaving
process is read to its last byte, and "totals" tells what went through in all, and since when.

And it receives the access log (`accesslog.py`): "seal" rotates the log of the frontend that the
request names, "bounds" says how much of the logs is kept from now on.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from libra_haproxy.accesslog import AccessLog, access_log
from libra_haproxy.keeperlog import bound_log, say
from libra_haproxy.ledger import Ledger
from libra_haproxy.logbounds import Bounds
from libra_haproxy.master import RunningMaster
from libra_haproxy.meter import Meter

SCHEMA = 1
"""The number of the keeper's protocol, in each answer."""

ALREADY_RUNNING = 73
"""The exit code where this Instance has a keeper."""

LOCK_NAME = "keeper.lock"
"""The file in the run directory that a keeper holds locked for life."""

_RESTART_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
_STEADY_SECONDS = 10.0
_STOP_SECONDS = 2.0
_CLIENT_SECONDS = 1.0


class Keeper:
    """Keeps one HAProxy running from one file until it is told to stop."""

    def __init__(
        self, *, haproxy: str, config: Path, run_dir: Path, ledger: Path, log: AccessLog | None
    ) -> None:
        self._command = [
            haproxy, "-W", "-S", f"{run_dir / 'master.sock'},mode,660", "-f", str(config),
        ]  # fmt: skip
        self._master_socket = run_dir / "master.sock"
        self._socket = run_dir / "keeper.sock"
        self._admin_socket = run_dir / "admin.sock"
        self._ledger = ledger
        self._log = log
        self._meter: Meter | None = None
        self._process: RunningMaster | None = None
        self._restart_at = 0.0
        self._failures = 0
        self._starts = 0
        self._adopted = False
        self._deaths = 0
        self._last_end = ""
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until stopped by a command or by SIGTERM."""
        waker, woken = socket.socketpair()
        for end in (waker, woken):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        # Whoever became us may have kept one back, which is to stop HAProxy too.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        self._selector.register(woken, selectors.EVENT_READ, woken)
        if self._log:
            self._log.start()
        self._adopt()
        self._meter = Meter(
            admin_socket=self._admin_socket,
            master_socket=self._master_socket,
            ledger=Ledger(self._ledger),
        )
        self._meter.start()
        with self._listen() as listener:
            self._selector.register(listener, selectors.EVENT_READ, listener)
            while not self._stopping:
                self._start_if_due()
                for key, _ in self._selector.select(self._patience()):
                    if key.data is listener:
                        self._serve(listener)
                    elif key.data is woken:
                        woken.recv(64)
                    else:
                        self._on_death()
                bound_log()
            self._end()
            if self._log:
                self._log.stop()
            self._socket.unlink(missing_ok=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopping = True

    def _patience(self) -> float | None:
        """Seconds until the next start is due; None while HAProxy runs."""
        if self._process is not None:
            return None
        return max(0.0, self._restart_at - time.monotonic())

    def _adopt(self) -> None:
        """Take over a HAProxy that outlived its keeper: whoever listens on the master socket."""
        try:
            found = RunningMaster.behind(self._master_socket, seconds=_CLIENT_SECONDS)
        except OSError:
            return
        self._watch(found)
        self._adopted = True
        say(f"adopted HAProxy, process {found.pid}")

    def _watch(self, process: RunningMaster) -> None:
        self._process = process
        self._selector.register(process.pidfd, selectors.EVENT_READ, process)

    def _start_if_due(self) -> None:
        if self._process is not None or time.monotonic() < self._restart_at:
            return
        try:
            started = RunningMaster.start(self._command)
        except OSError as error:
            self._count_death(f"cannot run {self._command[0]}: {error.strerror}", lived=0.0)
            return
        self._starts += 1
        self._adopted = False
        self._watch(started)
        say(f"started HAProxy, process {started.pid}")

    def _on_death(self) -> None:
        """HAProxy ended by itself: clear what is left of it and have it started again."""
        process = self._process
        if process is None:
            return
        self._selector.unregister(process.pidfd)
        self._process = None
        # Workers end with their master; one that hangs would keep the port.
        process.kill_group()
        lived = time.monotonic() - process.since
        self._count_death(f"HAProxy {process.pid} ended: {process.reap()}", lived=lived)

    def _count_death(self, how: str, *, lived: float) -> None:
        self._deaths += 1
        self._failures = 0 if lived > _STEADY_SECONDS else self._failures + 1
        pause = _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS) - 1)]
        self._restart_at = time.monotonic() + pause
        self._last_end = how
        say(f"{how}; starting it again in {pause:g} s")

    def _listen(self) -> socket.socket:
        self._socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o117)
        try:
            listener.bind(str(self._socket))
        finally:
            os.umask(mask)
        listener.listen(16)
        return listener

    def _serve(self, listener: socket.socket) -> None:
        """Answer one request; a silent or broken client costs a second at most."""
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.settimeout(_CLIENT_SECONDS)
            asked = _asked(connection.makefile("rb").readline(4096))
            connection.sendall(json.dumps(self._do(asked)).encode() + b"\n")

    def _do(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked.get("do"):
            case "hold" if self._meter:
                return {"held": self._meter.hold()}
            case "totals" if self._meter:
                return asdict(self._meter.books())
            case "seal" if self._log:
                return self._seal(self._log, str(asked.get("frontend")))
            case "bounds" if self._log:
                with contextlib.suppress(KeyError, TypeError):
                    self._log.rebound(Bounds(**asked["bounds"]))
            case "stop":
                self._end()
                self._stopping = True
        return self._status()

    def _status(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "keeper": os.getpid(),
            "pid": self._process.pid if self._process else None,
            "adopted": self._adopted,
            "starts": self._starts,
            "deaths": self._deaths,
            "last_end": self._last_end,
            "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "lines_lost": self._meter.lines_lost if self._meter else 0,
            "lines_dropped": self._log.dropped if self._log else 0,
        }

    @staticmethod
    def _seal(log: AccessLog, frontend: str) -> dict[str, Any]:
        try:
            return {"sealed": log.seal(frontend)}
        except OSError as error:
            return {"failed": error.strerror}

    def _end(self) -> None:
        """Stop HAProxy: asked first, then killed with all of its workers."""
        process, self._process = self._process, None
        if self._meter:
            self._meter.stop()
        if process is None:
            return
        self._selector.unregister(process.pidfd)
        process.kill(signal.SIGTERM)
        if not process.wait(_STOP_SECONDS):
            say(f"HAProxy {process.pid} does not stop: killed")
            process.kill_group()
            process.kill(signal.SIGKILL)
            process.wait(_STOP_SECONDS)
        process.kill_group()
        say(f"HAProxy {process.pid} stopped: {process.reap()}")


def _asked(line: bytes) -> dict[str, Any]:
    """What a request wants; anything that is no request wants the status."""
    with contextlib.suppress(ValueError, RecursionError):
        asked = json.loads(line)
        if isinstance(asked, dict):
            return asked
    return {}


def main(arguments: list[str]) -> int:
    """Run a keeper; 0 when told to stop, 73 when this Instance has one already."""
    parser = argparse.ArgumentParser(prog="libra_keeper", description="HAProxy's parent")
    parser.add_argument("--haproxy", required=True)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--run-dir", required=True, type=Path)
    parser.add_argument("--ledger", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("--log-bounds", default="{}")
    parser.add_argument("--logfile", type=Path)
    given = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    lock = os.open(given.run_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another keeper runs here")
        return ALREADY_RUNNING
    Keeper(
        haproxy=given.haproxy,
        config=given.config,
        run_dir=given.run_dir,
        ledger=given.ledger,
        log=access_log(
            given.logs,
            run_dir=given.run_dir,
            bounds=Bounds(**json.loads(given.log_bounds)),
            logfile=given.logfile,
        ),
    ).run()
    return 0
