"""Who lives is known by the locks that are held, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_pool_mgm.clouds.local import kernel, needs

HOLD = """
import os, sys
from libra_pool_mgm.clouds.local import kernel
kernel.hold(os.open(sys.argv[1], os.O_RDWR), int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


def holding(lock: Path, byte: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock), str(byte)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "lock").touch()
    return tmp_path / "lock"


def test_the_holder_of_a_byte_is_told_by_its_process_id_until_it_ends(lock: Path) -> None:
    assert kernel.holder(lock, 0) is None
    with holding(lock, 0) as one, holding(lock, 1) as other:
        assert (kernel.holder(lock, 0), kernel.holder(lock, 1)) == (one.pid, other.pid)
        one.kill()
        one.wait()
        assert (kernel.holder(lock, 0), kernel.holder(lock, 1)) == (None, other.pid)
        assert kernel.end_holder(lock, 1, seconds=20)
        assert other.wait() == -9
    assert kernel.holder(lock, 1) is None


def test_no_holder_and_no_file_is_nobody_to_end(lock: Path) -> None:
    assert kernel.end_holder(lock, 0, seconds=1)
    lock.unlink()
    assert kernel.holder(lock, 0) is None
    assert kernel.end_holder(lock, 0, seconds=1)


def test_a_byte_is_held_by_one_alone(lock: Path) -> None:
    with holding(lock, 0) as one, lock.open("r+b") as file:
        with pytest.raises(BlockingIOError):
            kernel.hold(file.fileno(), 0)
        one.kill()


@given(granted=st.sets(st.sampled_from([0, 1, 5, 6, 7, 8, 10, 12, 21])))
def test_just_the_missing_capabilities_are_named(granted: set[int]) -> None:
    effective = sum(1 << bit for bit in granted)
    named = needs.missing_capabilities(effective, changes_user=False)
    assert set(named) == {
        name for bit, name in ((12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")) if bit not in granted
    }
    roots = needs.missing_capabilities(effective, changes_user=True)
    assert set(named) <= set(roots)
    assert ("CAP_SETUID" in roots) == (7 not in granted)
