"""A folder in which dummy daemons live, for the tests of what all daemons share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.wait import until

ROOT = Path(__file__).parents[2]
LONG = 60.0


class Bench:
    """A folder in which dummy daemons live; ends those that are still there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid_file = folder / "pid"
        self.log = folder / "log"
        self.environ = dict(os.environ)
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.support.dummy_daemon", str(self.folder)]
        places = [f"--worker-pid={self.pid_file}", f"--log-file={self.log}"]
        process = subprocess.Popen(
            [*argv, *places, *options],
            cwd=ROOT,
            env=self.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def started(self, *options: str) -> subprocess.Popen[str]:
        process = self.start(*options)
        self.wait_for_cycles(process)
        return process

    def run(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        _, told = process.communicate(timeout=LONG)
        return process.returncode, told

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        _, told = process.communicate(timeout=LONG)
        return process.returncode, told

    def wait_for_cycles(self, process: subprocess.Popen[str] | None = None) -> None:
        before = self.cycles()

        def turned() -> bool:
            if process is not None and process.poll() is not None:
                raise AssertionError(f"ended: {process.communicate()}")
            return self.cycles() not in (before, 0)

        until(turned, "the daemon turns", LONG)

    def cycles(self) -> int:
        file = self.folder / "cycles"
        return int(file.read_text() or 0) if file.exists() else 0

    def say(self, name: str, text: str = "x") -> None:
        (self.folder / f"{name}.new").write_text(text)
        (self.folder / f"{name}.new").rename(self.folder / name)

    def unsay(self, name: str) -> None:
        (self.folder / name).unlink()

    def logged(self, words: str) -> None:
        until(lambda: words in self.text(), f"the log says {words!r}", LONG)

    def text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def clean(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        child = self.folder / "child.pid"
        if child.exists():
            os.kill(int(child.read_text()), signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
