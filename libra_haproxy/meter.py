"""Reads HAProxy's counters to the last byte of every process. Standard library only.

What serves is read each second; what leaves is held (`hold.py`) and read until it has nothing
left to do, put into the ledger, and only then let go.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from pathlib import Path

from libra_haproxy.hold import LINES_LOST, Hold
from libra_haproxy.ledger import Books, Ledger
from libra_haproxy.lines import MasterLine, OwnLine, ask_master
from libra_haproxy.pids import born, name_of, still_there

POLL_SECONDS = 1.0
"""How often a serving process is read: what a crash of HAProxy may lose."""

LEAVING_POLL_SECONDS = 0.02
_ABSENT_POLL_SECONDS = 0.1


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
        self._lines_lost = 0
        self._hold_now()
        self._hold_leaving()
        self._ledger.close_ended(still_there)

    @property
    def lines_lost(self) -> int:
        """How many log lines HAProxy could not get rid of, as it was read last."""
        return self._lines_lost

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
        self._lines_lost = sum(self._ledger.books().totals.get(LINES_LOST, ()))

    def _finish(self, process: str) -> None:
        """Close the books of a process and let it go."""
        with contextlib.suppress(OSError):
            self._ledger.close(process)
        self._holds.pop(process).release()
        self._finished = {one for one in self._finished if still_there(one)} | {process}


def _leaving(processes: str) -> list[int]:
    """The pids of the old workers in an answer to `show proc`."""
    _, _, old = processes.partition("# old workers\n")
    return [int(pid) for pid in re.findall(r"^(\d+)\s+worker\b", old, re.MULTILINE)]
