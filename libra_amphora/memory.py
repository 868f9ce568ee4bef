"""How much memory a node says there is, in kilobytes; no more than its share of the machine.

A controller sizes HAProxy's TLS cache by what is free. On a big or shared machine the machine's
own figures make HAProxy allocate gigabytes, and check a configuration for most of a minute. So
the control group's limit counts where there is one, and then the setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

_KB = 1024
_LINE = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_STAT = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The figures of `details`, all in kilobytes."""

    total: int
    free: int
    available: int
    buffers: int
    cached: int
    swap_used: int
    shared: int
    slab: int
    committed_as: int

    def within(self, limit: int) -> Memory:
        """The same proportions in `limit` kilobytes, 0 for no limit; never more than there is."""
        if not limit or limit >= self.total:
            return self
        scaled = {name: value * limit // self.total for name, value in asdict(self).items()}
        return replace(self, **scaled)


def machine(text: str) -> Memory:
    """The figures in the text of /proc/meminfo."""
    found = {name: int(value) for name, value in _LINE.findall(text)}

    def of(name: str) -> int:
        return found.get(name, 0)

    return Memory(
        total=of("MemTotal"),
        free=of("MemFree"),
        available=of("MemAvailable"),
        buffers=of("Buffers"),
        cached=of("Cached"),
        swap_used=max(0, of("SwapTotal") - of("SwapFree")),
        shared=of("Shmem"),
        slab=of("Slab"),
        committed_as=of("Committed_AS"),
    )


def measure(
    *,
    limit: int,
    meminfo: Path = Path("/proc/meminfo"),
    own_group: Path = Path("/proc/self/cgroup"),
    groups: Path = Path("/sys/fs/cgroup"),
) -> Memory:
    """The figures now, within `limit` kilobytes (0: none) and the control group's own limit."""
    whole = machine(meminfo.read_text())
    return (_of_group(whole, own_group, groups) or whole).within(limit)


@dataclass(frozen=True)
class _Names:
    """What the two versions of control groups call things; `prefix` is of the rows of `stat`."""

    folder: str
    limit: str
    usage: str
    prefix: str
    cached: str
    anonymous: str


_VERSION_2 = _Names("", "memory.max", "memory.current", "", "file", "anon")
_VERSION_1 = _Names(
    "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", "cache", "rss"
)


def _of_group(whole: Memory, own_group: Path, groups: Path) -> Memory | None:
    """What the tightest limit over this process leaves; None where nothing is tighter."""
    bounded = [
        (limit, folder, names)
        for folder, names in _folders(own_group, groups)
        if (limit := _number(folder / names.limit)) is not None
    ]
    if not bounded:
        return None
    limit, folder, names = min(bounded, key=lambda one: one[0])
    total = limit // _KB
    if total >= whole.total:
        return None
    free = max(0, total - (_number(folder / names.usage) or 0) // _KB)
    stat = _stat(folder / "memory.stat")

    def of(name: str) -> int:
        return stat.get(names.prefix + name, 0) // _KB

    return Memory(
        total=total,
        free=min(free, whole.free),
        available=min(free + of("inactive_file"), total, whole.available),
        buffers=0,
        cached=min(of(names.cached), total - free),
        swap_used=min(whole.swap_used, (_number(folder / "memory.swap.current") or 0) // _KB),
        shared=of("shmem"),
        slab=of("slab"),
        committed_as=of(names.anonymous),
    )


def _folders(own_group: Path, groups: Path) -> Iterator[tuple[Path, _Names]]:
    """The control group of this process and all above it."""
    try:
        lines = own_group.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            names = _VERSION_2
        elif "memory" in controllers.split(","):
            names = _VERSION_1
        else:
            continue
        top = groups / names.folder
        folder = top / path.lstrip("/")
        yield folder, names
        while folder != top and top in folder.parents:
            folder = folder.parent
            yield folder, names


def _number(path: Path) -> int | None:
    """The number in a file; None for `max` and for no file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _stat(path: Path) -> dict[str, int]:
    try:
        return {name: int(value) for name, value in _STAT.findall(path.read_text())}
    except OSError:
        return {}
