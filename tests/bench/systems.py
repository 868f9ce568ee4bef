"""The ways to change a running load balancer, each behind the same three calls.

Each way is what its documentation or the project that uses it does; what all of HAProxy's ways
have in common, the file, is the same in all of them.
"""

from __future__ import annotations

import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.bench.members import Wanted
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get
from tests.support.wait import until


class System(ABC):
    """One load balancer on `port`. `apply` returns when its way says that it is done."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir(mode=0o755)
        self.port = free_port()

    @abstractmethod
    def start(self, wanted: Wanted) -> None:
        """Serve `wanted`, from nothing."""

    @abstractmethod
    def apply(self, wanted: Wanted) -> None:
        """Change what is served."""

    @abstractmethod
    def stop(self) -> None:
        """End every process of it."""

    def weight_of(self, number: int) -> int | None:  # noqa: ARG002 - for those that say it
        """A member's weight as the running process says it; None where it does not say."""
        return None

    def wait(self) -> None:
        """Until it answers."""
        until(self._answers, f"{self.name} answers")

    def _answers(self) -> bool:
        try:
            return get(self.port).status == 200
        except OSError:
            return False


class Libra(System):
    """A job through gearmand to a real worker, answered when it is in force.

    The client keeps its connection to gearmand, as an API server does.
    """

    name = "libra"

    def __init__(self, folder: Path, *, server: str, **settings: Any) -> None:
        super().__init__(folder)
        self.node = Node(
            folder=self.folder,
            servers=[server],
            name=f"n{self.port}",
            log_level="info",  # as it is installed
            **settings,
        )

        self._client = self.node.client

    def start(self, wanted: Wanted) -> None:
        self.node.start()
        self._client.__enter__()
        self.apply(wanted)
        self.wait()

    def apply(self, wanted: Wanted) -> None:
        lbs = {"loadBalancers": [self.message(wanted)]}
        result = self._client.update(self.node.name, lbs)
        if not result.ok:
            raise AssertionError(f"UPDATE failed: {result.error}")

    def discover(self) -> None:
        """Ask a question that changes nothing."""
        self._client.discover(self.node.name)

    def message(self, wanted: Wanted) -> dict[str, Any]:
        """The load balancer of an UPDATE message."""
        fields: dict[str, Any] = {
            "name": "bench",
            "protocol": "TCP" if wanted.tcp else "HTTP",
            "port": self.port,
            "nodes": [
                {"id": one.number, "address": "127.0.0.1", "port": one.port, "weight": one.weight}
                for one in wanted.members
            ],
            "options": {"client_timeout": wanted.client_seconds * 1000},
        }
        if wanted.monitor:
            fields["monitor"] = {
                "type": "HTTP", "delay": 1, "timeout": 1, "attempts": 1, "path": "/",
            }  # fmt: skip
        return fields

    def stop(self) -> None:
        self._client.__exit__()
        self.node.close()

    def weight_of(self, number: int) -> int | None:
        for line in ask(self.node.run_dir / "admin.sock", "show servers state").splitlines():
            words = line.split(" ")
            # Not by its name, which is Libra's business; only one load balancer is here.
            if len(words) > 7 and words[3].endswith(f"-{number}"):
                return int(words[7])
        return None


def ask(path: Path, line: str) -> str:
    """One command to a HAProxy socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(f"{line}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def run(*command: str) -> None:
    """Run a program to its end; raises when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} failed: {done.stderr[-500:]}")
