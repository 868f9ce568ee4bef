"""Reads HAProxy's counters to the last byte of every process. Standard library only.

The *hold*: an open session on a process's admin socket is a job to HAProxy, so a process that
leaves after a reload cannot end while it is held. It is read until it has nothing left to do, put
into the ledger, and only then let go.
"""

from __future__ import annotations

import contextlib
import csv
import re
import socket
import threading
import time
from pathlib import Path

from libra_haproxy.ledger import Counts, Ledger

POLL_SECONDS = 1.0
"""How often a serving process is read: what a crash of HAProxy may lose."""

LEAVING_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 1.0
_QUIET_POLLS = 3


class Hold:
    """One process, kept from ending by a session on its admin socket.

    Raises OSError when there is none, or when it does not answer.
    """

    def __init__(self, admin_socket: Path) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._unread = bytearray()
        self._owed = 0
        try:
            self._connection.settimeout(_ANSWER_SECONDS)
            self._connection.connect(str(admin_socket))
            self._ask("prompt")
            self.pid = self._number("Pid", self._ask("show info"))
            self.process = f"{self.pid}:{_started(self.pid)}"
        except BaseException:
            self._connection.close()
            raise
        self._last: Counts = {}
        self._quiet = 0
        self.leaving = False

    def poll(self) -> tuple[Counts, bool]:
        """Read the counters; the second part says that they are final.

        A connection that waits to be accepted is in no counter yet, hence several equal looks.
        """
        info = self._ask("show info")
        counts = _frontends(self._ask("show stat -1 1 -1"))
        self.leaving = self._number("Stopping", info) == 1
        jobs = self._number("Jobs", info) - self._number("Unstoppable Jobs", info)
        idle = self.leaving and self._number("CurrConns", info) == 0 and jobs <= 1
        self._quiet = self._quiet + 1 if idle and counts == self._last else 0
        self._last = counts
        return counts, self._quiet >= _QUIET_POLLS

    def release(self) -> None:
        """Let the process go."""
        self._connection.close()

    def _ask(self, command: str) -> str:
        # An answer that came too late belongs to the question before: it is read first.
        while self._owed:
            self._read_answer()
        self._connection.sendall(command.encode("ascii") + b"\n")
        self._owed += 1
        return self._read_answer()

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

    @staticmethod
    def _number(name: str, info: str) -> int:
        match = re.search(rf"^{name}: (\d+)$", info, re.MULTILINE)
        if match is None:
            raise ConnectionAbortedError(f"HAProxy does not say {name}")
        return int(match[1])


class Meter:
    """Keeps the ledger of one HAProxy: reads what serves each second, what leaves to its end."""

    def __init__(self, *, admin_socket: Path, ledger: Ledger) -> None:
        self._admin_socket = admin_socket
        self._ledger = ledger
        self._lock = threading.Lock()
        self._holds: dict[str, Hold] = {}
        self._stopped = False
        self._hold_now()
        self._ledger.close_all_but(self._holds)

    def start(self) -> None:
        """Read in the background from now on."""
        threading.Thread(target=self._run, name="meter", daemon=True).start()

    def hold(self) -> bool:
        """Hold the serving process, before it is made to leave; whether there is one."""
        with self._lock:
            return self._hold_now()

    def totals(self) -> Counts:
        """What went through each frontend until this moment."""
        with self._lock:
            self._hold_now()
            self._poll_all()
            return self._ledger.totals()

    def stop(self) -> None:
        """Read everything a last time and close the books; nothing is written any more."""
        with self._lock:
            self._poll_all()
            for process in list(self._holds):
                self._let_go(process)
            self._stopped = True

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopped:
                    return
                self._hold_now()
                self._poll_all()
                leaving = any(hold.leaving for hold in self._holds.values())
            time.sleep(LEAVING_POLL_SECONDS if leaving else POLL_SECONDS)

    def _hold_now(self) -> bool:
        """Hold whatever serves at the moment, unless it is held already."""
        try:
            hold = Hold(self._admin_socket)
        except OSError:
            return False
        if hold.process in self._holds:
            hold.release()
        else:
            self._holds[hold.process] = hold
        return True

    def _poll_all(self) -> None:
        for process, hold in list(self._holds.items()):
            try:
                counts, final = hold.poll()
            except TimeoutError:
                # It hangs; what it counts can still be read once it goes on.
                continue
            except OSError:
                self._let_go(process)
                continue
            # A full disk loses precision, never the hold: the next look writes it again.
            with contextlib.suppress(OSError):
                self._ledger.note(process, counts)
            if final:
                self._let_go(process)

    def _let_go(self, process: str) -> None:
        with contextlib.suppress(OSError):
            self._ledger.close(process)
        self._holds.pop(process).release()


def _frontends(answer: str) -> Counts:
    rows = csv.DictReader(line for line in answer.lstrip("# \n").splitlines() if line)
    try:
        return {
            row["pxname"]: (int(row["bin"]), int(row["bout"]), int(row["stot"])) for row in rows
        }
    except (KeyError, ValueError) as error:
        raise ConnectionAbortedError(f"HAProxy's counters are not readable: {error}") from error


def _started(pid: int) -> str:
    """When the kernel started the process, in its clock ticks: tells a reused pid apart."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]
