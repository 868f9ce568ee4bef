"""The machine's figures for `details`: rates and shares of the last half minute, from samples.

A thread takes a sample every few seconds, so that a request costs a few small reads and no
process, and its answer does not depend on when the request before it came.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from libra_amphora.links import Link
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

WINDOW = 30.0
"""Seconds over which rates and shares are taken."""

_FIRST = 1.0
_EVERY = 5.0
_KB = 1024
_TUNED = Path("/etc/tuned/active_profile")


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The time of all processors since the start, in the kernel's ticks."""

    total: int
    busy: int
    user: int
    system: int
    soft_irq: int

    @classmethod
    def read(cls, text: str) -> Cpu:
        """The figures in the text of /proc/stat."""
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
        numbers = map(int, text.split("\n", 1)[0].split()[1 : 1 + len(names)])
        ticks = dict(zip(names, numbers, strict=False))
        total = sum(ticks.values())
        return cls(
            total=total,
            busy=total - ticks["idle"] - ticks.get("iowait", 0),
            user=ticks["user"] + ticks["nice"],
            system=ticks["system"],
            soft_irq=ticks.get("softirq", 0),
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was seen at one monotonic moment; traffic is (sent, received) bytes by interface."""

    at: float
    cpu: Cpu
    traffic: Mapping[str, tuple[int, int]]


def shares(old: Cpu, new: Cpu) -> dict[str, float]:
    """Percent of all processors between two samples."""
    span = max(1, new.total - old.total)

    def share(before: int, after: int) -> float:
        return round(min(100.0, max(0.0, 100.0 * (after - before) / span)), 2)

    return {
        "total": share(old.busy, new.busy),
        "user": share(old.user, new.user),
        "system": share(old.system, new.system),
        "soft_irq": share(old.soft_irq, new.soft_irq),
    }


def rates(old: Sample, new: Sample) -> dict[str, dict[str, int]]:
    """Bytes a second between two samples, by interface.

    One that was not there before, or that began to count anew, is counted from nothing.
    """
    span = max(0.001, new.at - old.at)

    def rate(before: int, after: int) -> int:
        return int((after - before if after >= before else after) / span)

    found = {}
    for name, (sent, received) in new.traffic.items():
        old_sent, old_received = old.traffic.get(name, (0, 0))
        found[name] = {
            "network_tx": rate(old_sent, sent),
            "network_rx": rate(old_received, received),
        }
    return found


class System:
    """Watches processors and interfaces; `interfaces` gives the latter's counters."""

    def __init__(
        self,
        *,
        interfaces: Callable[[], Mapping[str, Link]],
        stat: Path = Path("/proc/stat"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interfaces = interfaces
        self._stat = stat
        self._clock = clock
        self._samples: deque[Sample] = deque()
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take samples, soon after; until then a window is a moment."""
        self._thread = threading.Thread(target=self._run, name="system figures", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> Sample:
        """Take a sample, and forget those that are older than the window needs."""
        sample = Sample(
            at=self._clock(), cpu=Cpu.read(self._stat.read_text()), traffic=self._bytes()
        )
        with self._lock:
            self._samples.append(sample)
            while len(self._samples) > 2 and sample.at - self._samples[1].at >= WINDOW:
                self._samples.popleft()
        return sample

    def window(self) -> tuple[Sample, Sample]:
        """The sample at the beginning of the last half minute, and one of now."""
        with self._lock:
            first = self._samples[0] if self._samples else None
        now = self.look()
        return first or now, now

    def _run(self) -> None:
        # Whoever waits for the agent is answered before the first, which loads a library.
        pause = _FIRST
        while not self._ends.wait(pause):
            pause = _EVERY
            try:
                self.look()
            except OSError as error:
                LOG.warning("no figures of the machine: %s", error)

    def _bytes(self) -> dict[str, tuple[int, int]]:
        try:
            found = self._interfaces()
        except LibraError as error:
            LOG.debug("no figures of the interfaces: %s", error)
            return {}
        return {name: (link.tx_bytes, link.rx_bytes) for name, link in found.items()}


def disk(path: str = "/") -> dict[str, int]:
    """Kilobytes used and available on the file system of `path`."""
    found = os.statvfs(path)
    return {
        "used": (found.f_blocks - found.f_bfree) * found.f_frsize // _KB,
        "available": found.f_bavail * found.f_frsize // _KB,
    }


def load() -> list[float]:
    """The load of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def cpu_count() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def tuned_profiles(path: Path = _TUNED) -> str:
    """TuneD's active profiles, empty where it is not there."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1024).strip()
    except OSError:
        return ""
