"""Reads HAProxy's counters to the last byte of every process. Standard library only.

The *hold*: an open session on a process's admin socket is a job to HAProxy, so a process that
leaves after a reload cannot end while it is held. It is read until it has nothing left to do, put
into the ledger, and only then let go.

A process that was leaving already when this keeper came is nowhere to be connected to but through
its master, which opens a session of its own for each command. One command is therefore begun and
not ended, which holds the process, and the questions go beside it. A reload ends the master's
sessions; the process is held again right after it.
"""

from __future__ import annotations

import contextlib
import csv
import re
import socket
import threading
import time
from pathlib import Path
from typing import Protocol

from libra_haproxy.ledger import COLUMNS, Books, Counts, Ledger

POLL_SECONDS = 1.0
"""How often a serving process is read: what a crash of HAProxy may lose."""

LEAVING_POLL_SECONDS = 0.02
_ABSENT_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 1.0
_QUIET_POLLS = 3


class Line(Protocol):
    """A way to ask one process, which cannot end as long as it is open."""

    jobs: int
    """How many jobs the line itself is to HAProxy, while it asks."""

    def ask(self, command: str) -> str:
        """Ask; raises TimeoutError when there is no answer yet, else OSError when there is none."""

    def close(self) -> None:
        """Let the process go."""


class OwnLine:
    """A session on the serving process's own socket. Raises OSError when there is none."""

    jobs = 1

    def __init__(self, admin_socket: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._unread = bytearray()
        self._owed = 0
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.connect(str(admin_socket))
            self.ask("prompt")
        except BaseException:
            self._connection.close()
            raise

    def ask(self, command: str) -> str:
        """Ask, by a prompt that ends each answer."""
        # An answer that came too late belongs to the question before: it is read first.
        while self._owed:
            self._read_answer()
        self._connection.sendall(command.encode("ascii") + b"\n")
        self._owed += 1
        return self._read_answer()

    def close(self) -> None:
        """Let the process go."""
        self._connection.close()

    def _read_answer(self) -> str:
        while not self._unread.endswith(b"\n> "):
            chunk = self._connection.recv(65536)
            if not chunk:
                raise ConnectionResetError("HAProxy closed the session")
            self._unread += chunk
        answer = self._unread[:-2].decode("utf-8", "replace")
        self._unread.clear()
        self._owed -= 1
        return answer


class MasterLine:
    """The way to a leaving process through its master's socket. Raises OSError without a master."""

    jobs = 2

    def __init__(self, master_socket: Path, *, pid: int) -> None:
        self._master_socket = master_socket
        self._pid = pid
        self._born = born(pid)
        self._holding = self._hold()

    def ask(self, command: str) -> str:
        """Ask, by a connection for this question; a master that is reloading is asked again."""
        try:
            if self._lost():
                self._holding.close()
                self._holding = self._hold()
            answer = ask_master(self._master_socket, f"@!{self._pid} {command}")
        except OSError:
            answer = ""
        if not answer.strip() and lives(self._pid, self._born):
            raise TimeoutError("the master does not answer for it at the moment")
        return answer

    def close(self) -> None:
        """Let the process go."""
        self._holding.close()

    def _hold(self) -> socket.socket:
        """Begin a command with a payload that never comes to its end."""
        connection = _connected(self._master_socket)
        try:
            connection.sendall(f"@!{self._pid} show info <<\n".encode("ascii"))
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lost(self) -> bool:
        """Whether the master ended the session that holds."""
        try:
            return not self._holding.recv(1)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Hold:
    """One process, kept from ending by an open line to it.

    Raises OSError when it does not answer; the line is closed then.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        try:
            self._pid = self._number("Pid", line.ask("show info"))
            self._born = born(self._pid)
        except BaseException:
            line.close()
            raise
        self.process = name_of(self._pid, self._born)
        self._last: Counts = {}
        self._quiet = 0
        self.leaving = False

    @property
    def lives(self) -> bool:
        """Whether the process is still there, whatever became of the line."""
        return lives(self._pid, self._born)

    def poll(self) -> tuple[Counts, bool]:
        """Read the counters; the second part says that they are final.

        A connection that waits to be accepted is in no counter yet, hence several equal looks.
        """
        info = self._line.ask("show info")
        counts = _frontends(self._line.ask("show stat -1 1 -1"))
        self.leaving = self._number("Stopping", info) == 1
        jobs = self._number("Jobs", info) - self._number("Unstoppable Jobs", info)
        idle = self.leaving and self._number("CurrConns", info) == 0 and jobs <= self._line.jobs
        self._quiet = self._quiet + 1 if idle and counts == self._last else 0
        self._last = counts
        return counts, self._quiet >= _QUIET_POLLS

    def release(self) -> None:
        """Let the process go."""
        self._line.close()

    @staticmethod
    def _number(name: str, info: str) -> int:
        match = re.search(rf"^{name}: (\d+)$", info, re.MULTILINE)
        if match is None:
            raise ConnectionAbortedError(f"HAProxy does not say {name}")
        return int(match[1])


class Meter:
    """Keeps the ledger of one HAProxy: reads what serves each second, what leaves to its end."""

    def __init__(self, *, admin_socket: Path, master_socket: Path, ledger: Ledger) -> None:
        self._admin_socket = admin_socket
        self._master_socket = master_socket
        self._ledger = ledger
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._finished: set[str] = set()
        self._all_found = False
        self._stopped = False
        self._hold_now()
        self._hold_leaving()
        self._ledger.close_ended(_still_there)

    def start(self) -> None:
        """Read in the background from now on."""
        threading.Thread(target=self._run, name="meter", daemon=True).start()

    def hold(self) -> bool:
        """Hold the serving process, before it is made to leave; whether there is one."""
        with self._lock:
            return self._hold_now()

    def books(self) -> Books:
        """What went through each frontend until this moment, and on disk for sure."""
        with self._lock:
            self._hold_now()
            self._poll_all()
            with contextlib.suppress(OSError):
                self._ledger.sync()
            return self._ledger.books()

    def stop(self) -> None:
        """Read everything a last time and close the books; nothing is written any more."""
        with self._lock:
            self._poll_all()
            for process in list(self._holds):
                self._finish(process)
            self._stopped = True

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    return
                serving = self._hold_now()
                if not self._all_found:
                    self._hold_leaving()
                self._poll_all()
                leaving = any(hold.leaving for hold in self._holds.values())
            # A HAProxy that was just started is read soon, so that its crash loses no more.
            absent = POLL_SECONDS if serving else _ABSENT_POLL_SECONDS
            time.sleep(LEAVING_POLL_SECONDS if leaving else absent)

    def _hold_now(self) -> bool:
        """Hold whatever serves at the moment, unless it is held already."""
        try:
            self._keep(Hold(OwnLine(self._admin_socket)))
        except OSError:
            return False
        return True

    def _hold_leaving(self) -> None:
        """Hold what is leaving and is not held: the master knows them all."""
        try:
            pids = _leaving(ask_master(self._master_socket, "show proc"))
        except OSError:
            # Without a master there is nothing to find, and one that hangs is asked again.
            return
        self._all_found = True
        for pid in pids:
            # One that has ended in between is closed with the others that are gone.
            with contextlib.suppress(OSError):
                process = name_of(pid, born(pid))
                if process not in self._holds and process not in self._finished:
                    self._keep(Hold(MasterLine(self._master_socket, pid=pid)))

    def _keep(self, hold: Hold) -> None:
        if hold.process in self._holds:
            hold.release()
        else:
            self._holds[hold.process] = hold

    def _poll_all(self) -> None:
        for process, hold in list(self._holds.items()):
            try:
                counts, final = hold.poll()
            except TimeoutError:
                # It hangs; what it counts can still be read once it goes on.
                continue
            except OSError:
                if hold.lives:
                    # Only the line is broken: its books stay open, another line is looked for.
                    self._holds.pop(process).release()
                    self._all_found = False
                else:
                    self._finish(process)
                continue
            # A full disk loses precision, never the hold: the next look writes it again.
            with contextlib.suppress(OSError):
                self._ledger.note(process, counts)
            if final:
                self._finish(process)

    def _finish(self, process: str) -> None:
        """Close the books of a process and let it go."""
        with contextlib.suppress(OSError):
            self._ledger.close(process)
        self._holds.pop(process).release()
        self._finished = {one for one in self._finished if _still_there(one)} | {process}


def ask_master(master_socket: Path, command: str) -> str:
    """Ask by a connection for this question alone; raises OSError."""
    with _connected(master_socket) as connection:
        connection.sendall(f"{command};quit\n".encode("ascii"))
        # The master waits for more unless told that there is none.
        connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while chunk := connection.recv(65536):
            answer += chunk
        return answer.decode("utf-8", "replace")


def born(pid: int) -> str:
    """When the kernel started a process, in its clock ticks: tells a reused pid apart.

    Raises OSError when there is none, or when it only waits to be reaped.
    """
    state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if state in "ZX":
        raise ProcessLookupError(f"process {pid} has ended")
    return rest[18]


def lives(pid: int, since: str) -> bool:
    """Whether this very process is still there."""
    try:
        return born(pid) == since
    except OSError:
        return False


def name_of(pid: int, since: str) -> str:
    """A process as the ledger calls it."""
    return f"{pid}:{since}"


def _still_there(process: str) -> bool:
    pid, _, since = process.partition(":")
    return pid.isdigit() and lives(int(pid), since)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _leaving(processes: str) -> list[int]:
    """The pids of the old workers in an answer to `show proc`."""
    _, _, old = processes.partition("# old workers\n")
    return [int(pid) for pid in re.findall(r"^(\d+)\s+worker\b", old, re.MULTILINE)]


def _frontends(answer: str) -> Counts:
    rows = csv.DictReader(line for line in answer.lstrip("# \n").splitlines() if line)
    try:
        # A TCP frontend has no requests: HAProxy leaves their columns empty.
        return {row["pxname"]: tuple(int(row[name] or 0) for name in COLUMNS) for row in rows}
    except (KeyError, ValueError, TypeError) as error:
        raise ConnectionAbortedError(f"HAProxy's counters are not readable: {error}") from error
