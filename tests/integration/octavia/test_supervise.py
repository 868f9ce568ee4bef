"""The agent's process lives as long as Octavia's driver-agent wants it to, and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from libra_octavia import supervise
from libra_octavia.daemon import LIFELINE
from tests.support.ports import free_port
from tests.support.wait import until

_NOTES_ITS_PID = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
time.sleep(600)
"""


def pids(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "_FIRST", 0.01)
    monkeypatch.setattr(supervise, "_LOOK_SECONDS", 0.02)


def test_a_process_that_dies_is_started_again_and_ends_when_told_to(
    quick: None, tmp_path: Path
) -> None:
    file, ended = tmp_path / "pids", threading.Event()
    command = [sys.executable, "-c", _NOTES_ITS_PID, str(file)]
    thread = threading.Thread(target=supervise.supervise, args=(command, ended))
    thread.start()
    try:
        until(lambda: len(pids(file)) == 1, "it runs")
        os.kill(pids(file)[0], signal.SIGKILL)
        until(lambda: len(pids(file)) == 2, "it runs again")
    finally:
        ended.set()
        thread.join(20)
    assert not thread.is_alive()
    assert not any(alive(pid) for pid in pids(file))


def test_one_that_does_not_end_is_killed(
    quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervise, "_KILL_SECONDS", 0.2)
    file, ended = tmp_path / "pids", threading.Event()
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _NOTES_ITS_PID
    command = [sys.executable, "-c", stubborn, str(file)]
    thread = threading.Thread(target=supervise.supervise, args=(command, ended))
    thread.start()
    until(lambda: pids(file), "it runs")
    ended.set()
    thread.join(20)
    assert not thread.is_alive()
    assert not alive(pids(file)[0])


def _settings(folder: Path, **more: str) -> Path:
    file = folder / "libra.cfg"
    rows = {
        "inventory": f"sqlite:///{folder / 'inventory.db'}",
        "pid": str(folder / "pid"),
        "driver_agent_sockets": str(folder),
        "devices": "tests.support.file_devices",
        **more,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in rows.items())
    file.write_text(f"[octavia]\n{lines}\n[gearman]\nservers = 127.0.0.1:{free_port()}\n")
    return file


def test_the_daemon_ends_with_whoever_started_it(tmp_path: Path) -> None:
    # Given a daemon that was started by a process that dies without a word
    reading, writing = os.pipe()
    daemon = subprocess.Popen(
        [sys.executable, "-m", "libra_octavia.main", "--config-file", str(_settings(tmp_path))],
        env={**os.environ, LIFELINE: str(reading), "LIBRA_TEST_DEVICES": str(tmp_path)},
        pass_fds=[reading],
        stderr=subprocess.DEVNULL,
    )
    os.close(reading)
    try:
        until((tmp_path / "inventory.db").exists, "it has made its inventory")
        until((tmp_path / "pid").exists, "it runs")
        assert daemon.poll() is None
        # When the other end is no more, then it ends in good order
        os.close(writing)
        assert daemon.wait(30) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_with_devices_that_there_are_not_the_daemon_does_not_start_and_says_why(
    tmp_path: Path,
) -> None:
    file = _settings(tmp_path, devices="no.such.module")
    done = subprocess.run(
        [sys.executable, "-m", "libra_octavia.main", "--config-file", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78
    assert "no.such.module" in done.stderr
    assert not (tmp_path / "inventory.db").exists()


def test_the_pause_grows_while_it_dies_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervise, "_LOOK_SECONDS", 0.01)
    waited: list[float] = []

    class Never:
        def wait(self, timeout: float) -> bool:
            if timeout >= 1:
                waited.append(timeout)
                return len(waited) == 4
            time.sleep(timeout)
            return False

    supervise.supervise([sys.executable, "-c", "raise SystemExit(1)"], Never())
    assert waited == [1.0, 2.0, 4.0, 8.0]
