"""A real gearmand of one test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.need import program
from tests.support.ports import free_port


class Gearmand:
    """Debian's gearmand on a free loopback port, which it keeps over restarts.

    Works as root (it stays root) and as an ordinary user.
    """

    def __init__(self, host: str = "127.0.0.1", port: int | None = None, *options: str) -> None:
        self.host = host
        self.port = port or free_port(host)
        self._program = program("gearmand")
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="libra-gearmand-"))
        self._said = (self._folder / "said").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Gearmand:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """What it wrote to its log and to its standard error."""
        files = (self._folder / "log", self._folder / "said")
        return "".join(one.read_text(errors="replace") for one in files if one.exists())

    def start(self) -> Gearmand:
        """Start it and wait until it answers."""
        deadline = time.monotonic() + 20
        # Root must name a user, and nobody else may.
        user = [f"--user={pwd.getpwuid(0).pw_name}"] if os.geteuid() == 0 else []
        while True:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--listen={self.host}",
                    f"--port={self.port}",
                    *user,
                    f"--pid-file={self._folder / 'pid'}",
                    f"--log-file={self._folder / 'log'}",
                    "--verbose=INFO",
                    *self._options,
                ],
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )
            while self._process.poll() is None:
                if self.answers():
                    return self
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"gearmand does not answer:\n{self.log}")
                time.sleep(0.02)
            # Another process may hold the port for a moment after a kill.
            if time.monotonic() > deadline:
                raise AssertionError(f"gearmand does not start:\n{self.log}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether it says its version within a second."""
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as opened:
                opened.sendall(b"version\n")
                return opened.recv(100).startswith(b"OK ")
        except OSError:
            return False

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: its sockets stay open and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
