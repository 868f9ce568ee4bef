"""A HAProxy that serves a rendered tree on the loopback, as a device would."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

from libra_octavia.render import Place, render
from libra_octavia.translate import translate
from tests.support.backends import EchoBackend, HttpBackend
from tests.support.haproxies import Haproxy
from tests.support.octavia_trees import listener, member, pool, tree
from tests.support.ports import free_port
from tests.support.wait import until

PEER = "device-1"


def member_of(backend: HttpBackend | EchoBackend, **fields: Any) -> dict[str, Any]:
    return member(**{"protocol_port": backend.port, **fields})


class TreeServer:
    """One listener with one pool, rendered and served; `change` renders anew and starts again."""

    def __init__(
        self,
        haproxy: Haproxy,
        folder: Path,
        front: dict[str, Any],
        behind: dict[str, Any] | None,
    ) -> None:
        self.port = free_port()
        self._haproxy = haproxy.path()
        self._folder = folder
        self._peers = free_port()
        self._front = front
        self._behind = behind
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TreeServer:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def change(self, front: dict[str, Any], behind: dict[str, Any] | None) -> None:
        self._stop()
        self._front, self._behind = front, behind
        self._start()

    def status(self, name: str) -> str:
        """What HAProxy says of a member's state."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(10)
            asked.connect(str(self._folder / "admin.sock"))
            asked.sendall(b"show stat\n")
            text = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
        rows = [line.split(",") for line in text.splitlines() if line]
        status = rows[0].index("status")
        return next(row[status] for row in rows if row[1] == name)

    def _start(self) -> None:
        front = listener(**{"protocol_port": self.port, "default_pool_id": "pool", **self._front})
        behind = [] if self._behind is None else [pool(**{"pool_id": "pool", **self._behind})]
        found = translate(tree([front], behind))
        text = render(found, Place(maxconn=1000, peer=(PEER, "127.0.0.1", self._peers)))
        # A node puts its own program in the place of this one; ours knows one host that answers.
        ping = self._folder / "ping"
        ping.write_text('#!/bin/sh\ntest "$3" = 127.0.0.1\n')
        ping.chmod(0o755)
        text = text.replace("/var/lib/octavia/ping-wrapper.sh", str(ping))
        file = self._folder / "haproxy.cfg"
        admin = f"global\n    stats socket {self._folder / 'admin.sock'} level admin\n"
        file.write_text(admin + text)
        self._process = subprocess.Popen(
            [self._haproxy, "-db", "-L", PEER, "-f", str(file)],
            env={},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "HAProxy answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "HAProxy ended"
        try:
            self.status("FRONTEND")
        except (OSError, IndexError):
            return False
        return True

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
