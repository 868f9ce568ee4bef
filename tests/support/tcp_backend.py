"""A small server of TCP, each connection of which is served in a thread of its own."""

from __future__ import annotations

import abc
import socket
import threading
from typing import Self


class TcpBackend(abc.ABC):
    """Listens at a free port of `host` and serves while it is a context."""

    def __init__(self, host: str) -> None:
        self._listening = socket.create_server((host, 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @abc.abstractmethod
    def _serve(self, opened: socket.socket) -> None:
        """Serve one connection, and close it."""

    def _accept(self) -> None:
        while True:
            try:
                opened, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(opened,), daemon=True).start()
