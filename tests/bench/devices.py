"""Figure 11: devices of the local cloud, from BUILD_DEVICE to its answer, and what one costs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, note, save
from tests.bench.summary import Goal, Row, row
from tests.bench.timing import median
from tests.demo.cloud import why_not
from tests.support.localcloud import Site
from tests.support.localpool import LocalPool
from tests.support.wait import until

_AT_ONCE = 50


def measure(bench: Bench) -> list[Row]:
    """One after the other, then all at once, through a real pool manager."""
    if reason := why_not():
        note(f"  skipped: {reason}")
        return []
    count = bench.amount(_AT_ONCE, 10)
    site = Site(folder=bench.place(), gearmand=bench.gearmand)
    try:
        pool = LocalPool(site, build_timeout=600)
        with pool:
            pool.start()
            built, deleted = _one_by_one(pool, bench.amount(20, 5))
            memory = _memory(site, pool)
            note(f"  {count} devices at once")
            together = _at_once(pool, count)
    finally:
        site.close()
    save("11-devices", {"built_ms": built, "deleted_ms": deleted, "memory_mb": memory,
                       "at_once": count, "at_once_seconds": together})  # fmt: skip
    return [
        row("11-local-device-ready-p50", median(built), "ms", goal=Goal("value", 3000)),
        row("11-local-device-ready-slowest", max(built), "ms", goal=Goal("value", 3000)),
        row("11-local-device-deleted-p50", median(deleted), "ms"),
        row(f"11-{count}-local-devices-at-once", together, "s"),
        row("11-local-device-memory", memory, "MB"),
    ]


def _one_by_one(pool: LocalPool, times: int) -> tuple[list[float], list[float]]:
    """Milliseconds from BUILD_DEVICE and from DELETE_DEVICE to their answers."""
    built, deleted = [], []
    for _ in range(times):
        answer, took = _timed(pool, "BUILD_DEVICE")
        built.append(took)
        deleted.append(_timed(pool, "DELETE_DEVICE", name=answer["name"])[1])
    return built, deleted


def _at_once(pool: LocalPool, count: int) -> float:
    """Seconds until the last of `count` devices is answered."""
    began = time.perf_counter()
    waiting = [pool.begin("BUILD_DEVICE", timeout=600) for _ in range(count)]
    answers = [one.result() for one in waiting]
    took = time.perf_counter() - began
    if any(answer["response"] != "PASS" for answer in answers):
        raise RuntimeError(f"not all were built: {answers}")
    gone = [pool.begin("DELETE_DEVICE", timeout=600, name=one["name"]) for one in answers]
    for one in gone:
        one.result()
    return took


def _memory(site: Site, pool: LocalPool) -> float:
    """Megabytes of a device that serves, shared pages divided among those who share them."""
    name = _timed(pool, "BUILD_DEVICE")[0]["name"]
    (device,) = site.cloud().devices()
    if not site.serve(device, site.web("web")).ok:
        raise RuntimeError("the device refuses to serve")
    until(lambda: site.get(device.address).body == b"web", "it serves")
    mine = [pid for pid, line in site.processes().items() if f"{site.folder}/d/" in line]
    total = sum(_share_of(pid) for pid in mine)
    _timed(pool, "DELETE_DEVICE", name=name)
    return total / 1000


def _share_of(pid: int) -> int:
    """Kilobytes of a process's memory, what it shares counted by its part (PSS)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _timed(pool: LocalPool, action: str, **fields: Any) -> tuple[dict[str, Any], float]:
    began = time.perf_counter()
    answer = pool.do(action, **fields)
    took = (time.perf_counter() - began) * 1000
    if answer["response"] != "PASS":
        raise RuntimeError(f"{action} failed: {answer}")
    return answer, took
