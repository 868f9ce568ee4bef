"""The hold: one HAProxy process, read until it has nothing left to do. Standard library only."""

from __future__ import annotations

import csv
import re

from libra_haproxy.ledger import COLUMNS, Counts
from libra_haproxy.lines import Line
from libra_haproxy.pids import born, lives, name_of

LINES_LOST = "lost log lines"
"""Stands among the frontends for what a process could not log; no frontend has such a name."""

_QUIET_POLLS = 3


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
        counts[LINES_LOST] = (self._number("DroppedLogs", info),)
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


def _frontends(answer: str) -> Counts:
    rows = csv.DictReader(line for line in answer.lstrip("# \n").splitlines() if line)
    try:
        # A TCP frontend has no requests: HAProxy leaves their columns empty.
        return {row["pxname"]: tuple(int(row[name] or 0) for name in COLUMNS) for row in rows}
    except (KeyError, ValueError, TypeError) as error:
        raise ConnectionAbortedError(f"HAProxy's counters are not readable: {error}") from error
