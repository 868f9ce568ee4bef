from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora import memory, packages, system
from libra_amphora.links import Link
from libra_amphora.memory import Memory
from libra_amphora.network_errors import NamespaceUnusable
from libra_amphora.system import Cpu, Sample, System, rates, shares

MEMINFO = """\
MemTotal:        4087402 kB
MemFree:          760656 kB
MemAvailable:    2655901 kB
Buffers:           90980 kB
Cached:          1830143 kB
SwapTotal:         10000 kB
SwapFree:           9057 kB
Shmem:            105792 kB
Slab:             158819 kB
Committed_AS:    2643480 kB
HugePages_Total:       0
"""
KEYS = ["total", "free", "available", "buffers", "cached", "swap_used", "shared", "slab"]


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# -- memory ----------------------------------------------------------------------------------


def test_memory_has_the_nine_figures_of_the_documents() -> None:
    found = asdict(memory.machine(MEMINFO))
    assert list(found) == [*KEYS, "committed_as"]
    assert list(found.values()) == [
        *(4087402, 760656, 2655901, 90980, 1830143, 943, 105792, 158819),
        2643480,
    ]


@given(st.lists(st.integers(0, 1 << 40), min_size=9, max_size=9), st.integers(0, 1 << 40))
def test_no_figure_passes_the_limit_and_what_could_be_used_stays_in_it(
    figures: list[int], limit: int
) -> None:
    total = max(figures)
    rest = dict(zip([*KEYS[1:], "committed_as"], figures, strict=False))
    whole = Memory(total=total, **{**rest, "committed_as": figures[-1]})
    found = whole.within(limit)
    if limit and limit < total:
        assert found.total == limit
        assert all(value <= limit for value in asdict(found).values())
    else:
        assert found == whole
    if whole.free + whole.buffers + whole.cached <= total:
        assert found.free + found.buffers + found.cached <= found.total


@pytest.mark.parametrize(
    ("own", "folder", "limit", "usage", "stat"),
    [
        (
            "0::/system.slice/agent",
            "system.slice/agent",
            "memory.max",
            "memory.current",
            "anon 1024000\nfile 2048000\nshmem 1024\nslab 4096\ninactive_file 1024000\n",
        ),
        (
            "9:cpu:/\n4:memory:/system.slice/agent\n0::/",
            "memory/system.slice/agent",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            (
                "total_rss 1024000\ntotal_cache 2048000\ntotal_shmem 1024\ntotal_slab 4096\n"
                "total_inactive_file 1024000\n"
            ),
        ),
    ],
)
@pytest.mark.parametrize("above", [False, True])
def test_limit_of_the_control_group_counts_wherever_above_it_stands(
    tmp_path: Path, own: str, folder: str, limit: str, usage: str, stat: str, above: bool
) -> None:
    # Given a limit of 102,400 kB on the group or on the one above it, and 4,000 kB in use
    group = tmp_path / "groups" / folder
    written(group / limit, "max" if "max" in limit else str(1 << 62))
    bounded = group.parent if above else group
    written(bounded / limit, str(102400 * 1024))
    written(bounded / usage, str(4000 * 1024))
    written(bounded / "memory.stat", stat)
    # When it is measured
    found = memory.measure(
        limit=0,
        meminfo=written(tmp_path / "meminfo", MEMINFO),
        own_group=written(tmp_path / "own", own),
        groups=tmp_path / "groups",
    )
    # Then the machine's own figures are of no account
    assert asdict(found) == {
        "total": 102400,
        "free": 98400,
        "available": 99400,
        "buffers": 0,
        "cached": 2000,
        "swap_used": 0,
        "shared": 1,
        "slab": 4,
        "committed_as": 1000,
    }


def test_without_a_control_group_the_setting_bounds_the_machines_figures(tmp_path: Path) -> None:
    meminfo = written(tmp_path / "meminfo", MEMINFO)
    for limit, total in ((0, 4087402), (1 << 40, 4087402), (262144, 262144)):
        found = memory.measure(
            limit=limit, meminfo=meminfo, own_group=tmp_path / "none", groups=tmp_path
        )
        assert found.total == total
        assert found.free == 760656 * total // 4087402


def test_memory_of_this_machine_can_be_measured() -> None:
    found = memory.measure(limit=262144)
    assert 0 < found.total <= 262144
    assert 0 <= found.free <= found.total


# -- processors and interfaces ---------------------------------------------------------------


def test_processors_are_shares_of_all_their_time() -> None:
    old = Cpu.read("cpu  100 20 30 1000 50 0 10 0 0 0\ncpu0 1 1 1 1\n")
    new = Cpu.read("cpu  130 20 40 1140 50 0 20 0 0 0\n")
    assert shares(old, new) == {"total": 26.32, "user": 15.79, "system": 5.26, "soft_irq": 5.26}
    assert shares(old, old) == {"total": 0.0, "user": 0.0, "system": 0.0, "soft_irq": 0.0}


CPU = Cpu(total=0, busy=0, user=0, system=0, soft_irq=0)


def test_traffic_is_bytes_a_second_by_interface() -> None:
    old = Sample(at=100.0, cpu=CPU, traffic={"eth1": (1000, 2000), "eth2": (9000, 9000)})
    new = Sample(
        at=130.0, cpu=CPU, traffic={"eth1": (4000, 62000), "eth2": (300, 9000), "eth3": (60, 0)}
    )
    assert rates(old, new) == {
        "eth1": {"network_tx": 100, "network_rx": 2000},
        "eth2": {"network_tx": 10, "network_rx": 0},  # it began anew
        "eth3": {"network_tx": 2, "network_rx": 0},
    }


def link(sent: int, received: int) -> Link:
    return Link(index=2, name="eth1", mac="", mtu=1500, up=True, rx_bytes=received, tx_bytes=sent)


def test_window_is_the_last_half_minute_however_often_it_is_looked(tmp_path: Path) -> None:
    # Given samples every five seconds for two minutes, 100 bytes a second the last half minute
    now, sent = 0.0, 0
    watched = System(
        interfaces=lambda: {"eth1": link(sent, 0)},
        stat=written(tmp_path / "stat", "cpu  1 1 1 1 1 1 1\n"),
        clock=lambda: now,
    )
    for _ in range(24):
        now += 5
        sent += 5000 if now <= 90 else 500
        watched.look()
    # When it is asked at any moment
    first, last = watched.window()
    # Then what was before counts no more
    assert last.at - first.at == system.WINDOW
    assert rates(first, last)["eth1"]["network_tx"] == 100


def test_namespace_that_cannot_be_entered_leaves_the_other_figures(tmp_path: Path) -> None:
    def interfaces() -> dict[str, Link]:
        raise NamespaceUnusable("gone")

    watched = System(interfaces=interfaces)
    first, last = watched.window()
    assert rates(first, last) == {}
    assert last.cpu.total > 0


def test_watch_of_this_machine_begins_and_ends() -> None:
    watched = System(interfaces=dict)
    watched.start()
    first, last = watched.window()
    watched.stop()
    assert last.cpu.total >= first.cpu.total
    assert all(isinstance(value, float) for value in system.load())
    assert all(value > 0 for value in system.disk().values())
    assert system.cpu_count() > 0


# -- packages --------------------------------------------------------------------------------


def test_packages_are_those_that_are_installed(tmp_path: Path) -> None:
    status = written(
        tmp_path / "status",
        "Package: haproxy\nStatus: install ok installed\nVersion: 2.6.12-1\n\n"
        "Package: keepalived\nStatus: deinstall ok config-files\nVersion: 1:2.2.7\n\n"
        "Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2\nConffiles:\n /etc/x 1\n\n"
        "Package: other\nStatus: install ok installed\nVersion: 1\n",
    )
    found = packages.installed(haproxy="2.8.3", status=status)
    names = {name: version for package in found for name, version in package.items()}
    # The program that serves wins over what is installed
    assert names["haproxy"] == "2.8.3"
    assert names["bash"] == "5.2.15-2"
    assert "openssl" in names
    assert not {"keepalived", "other"} & set(names)
    assert all(len(package) == 1 for package in found)


def test_system_without_dpkg_has_packages_too(tmp_path: Path) -> None:
    names = {
        name
        for package in packages.installed(haproxy="2.6.12", status=tmp_path / "none")
        for name in package
    }
    assert {"haproxy", "openssl", "libra"} <= names
