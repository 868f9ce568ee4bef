"""A provider agent in a process of its own, killed and stopped as they like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


class Agent:
    """A libra_octavia process of its own."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.config = config
        self.log = folder / f"{config.stem}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, crash_at: str = "", stop_at: str = "") -> Agent:
        """Start it; it kills or stops itself where it comes to such a place."""
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "libra_octavia.main", "--config-file", str(self.config)],
                env={**os.environ, "LIBRA_CRASH_AT": crash_at, "LIBRA_STOP_AT": stop_at},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        return self

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by SIGSTOP."""
        assert self.process is not None
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.running:
            self.thaw()
            self.kill()
