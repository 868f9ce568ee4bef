"""Tells processes apart for good: a pid and when the kernel started it. Standard library only."""

from __future__ import annotations

from pathlib import Path


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


def still_there(process: str) -> bool:
    """Whether a process that the ledger names is still there."""
    pid, _, since = process.partition(":")
    return pid.isdigit() and lives(int(pid), since)
