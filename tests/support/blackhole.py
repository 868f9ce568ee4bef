"""A TCP proxy whose cable can be cut: afterwards nothing passes, and nobody is told."""

from __future__ import annotations

import select
import socket
import threading


class Blackhole:
    """Forwards connections to a loopback port until `cut`; `mend` lets new ones pass again."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._passing = threading.Event()
        self._passing.set()
        self._closed = False
        self._kept: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Blackhole:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for kept in self._kept:
            kept.close()

    def cut(self) -> None:
        """Drop everything from now on, on the open connections for ever; no FIN, no RST."""
        self._passing.clear()
        self._passing = threading.Event()

    def mend(self) -> None:
        """Forward the connections that come from now on."""
        self._passing.set()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(near)
            threading.Thread(target=self._forward, args=(near, self._passing), daemon=True).start()

    def _forward(self, near: socket.socket, passing: threading.Event) -> None:
        if not passing.is_set():
            return  # the connection is taken by the kernel, and that is all that ever happens
        try:
            with socket.create_connection(("127.0.0.1", self._target_port)) as far:
                ends = {near: far, far: near}
                while not self._closed:
                    ready, _, _ = select.select(list(ends), [], [], 0.1)
                    if not passing.is_set():
                        while not self._closed:
                            threading.Event().wait(0.1)
                        return
                    for one in ready:
                        data = one.recv(65536)
                        if not data:
                            near.close()
                            return
                        ends[one].sendall(data)
        except OSError:
            near.close()
