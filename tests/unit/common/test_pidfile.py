from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libra_common.errors import AlreadyRunningError, PidFileError
from libra_common.exits import Exit
from libra_common.pidfile import PidFile, is_held


def test_the_file_holds_our_pid_while_held_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pid"
    with PidFile(path=path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_second_instance_is_refused_naming_the_first(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with PidFile(path=path):
        with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}") as caught:
            PidFile(path=path).acquire()
        assert caught.value.pid == os.getpid()
        assert caught.value.exit_code == Exit.ALREADY_RUNNING
        # And the first one's file is as it was.
        assert path.read_text() == f"{os.getpid()}\n"
    with PidFile(path=path):
        pass


def test_somebody_else_can_tell_whether_a_pid_file_is_held_and_changes_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pid"
    assert not is_held(path)
    assert not path.exists()
    with PidFile(path=path):
        assert is_held(path)
        assert path.read_text() == f"{os.getpid()}\n"
    path.write_text("1\n")
    assert not is_held(path)


@pytest.mark.parametrize("content", ["", "\n", "999999999\n", "1\n", " 12345678 \n"])
def test_a_stale_file_is_taken_over_even_if_a_stranger_has_its_pid(
    tmp_path: Path, content: str
) -> None:
    # Process 1 lives, and has nothing to do with us.
    path = tmp_path / "pid"
    path.write_text(content)
    with PidFile(path=path):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "content", [b"[worker]\nslots = 4\n", b"-5", b"0", b"12 13", b"\x00\xff", b"1" * 70, b"1\n2\n"]
)
def test_a_file_that_holds_no_pid_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "libra.cfg"
    path.write_bytes(content)
    with pytest.raises(PidFileError, match="no pid") as caught:
        PidFile(path=path).acquire()
    assert caught.value.exit_code == Exit.BAD_PIDFILE
    assert path.read_bytes() == content


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for name in ("fifo", "link", "."):
        with pytest.raises(PidFileError):
            PidFile(path=tmp_path / name).acquire()
    assert not (tmp_path / "victim").exists()


def test_a_path_below_a_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PidFileError, match=r"Not a directory|File exists"):
        PidFile(path=tmp_path / "file" / "pid").acquire()


def test_an_unlinked_file_is_never_taken_for_the_pid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an instance that leaves, and so unlinks its file, between our open and our lock
    path = tmp_path / "pid"
    first = PidFile(path=path)
    first.acquire()
    second = PidFile(path=path)
    lock = second._lock

    def late(fd: int) -> None:
        first.release()
        lock(fd)

    monkeypatch.setattr(second, "_lock", late)
    # When the second one acquires
    second.acquire()
    # Then its lock is on the file that has the name, and a third instance is refused
    with pytest.raises(AlreadyRunningError):
        PidFile(path=path).acquire()
    second.release()


def test_the_lock_survives_neither_in_children_nor_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    held = PidFile(path=path)
    held.acquire()
    # Given a child program started while the lock was held
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    try:
        # When the holder ends without a clean-up (its descriptor is closed, the file stays)
        os.close(held._fd if held._fd is not None else -1)
        held._fd = None
        # Then the next instance starts although the child lives
        with PidFile(path=path):
            assert child.poll() is None
    finally:
        child.communicate()


def test_a_forked_child_does_not_remove_its_parents_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    held = PidFile(path=path)
    held.acquire()
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert path.exists()
    held.release()


def test_a_file_that_somebody_else_put_in_its_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    held = PidFile(path=path)
    held.acquire()
    path.unlink()
    path.write_text("other")
    held.release()
    assert path.read_text() == "other"
