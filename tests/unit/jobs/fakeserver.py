"""A gearman server that does as it is told, wrong if need be."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable

HEADER = struct.Struct("!4sII")

NOOP, JOB_CREATED, NO_JOB, JOB_ASSIGN, WORK_COMPLETE, WORK_FAIL = 6, 8, 10, 11, 13, 14
ECHO_REQ, ECHO_RES, ERROR, PRE_SLEEP, SUBMIT_JOB = 16, 17, 19, 4, 7
WORK_EXCEPTION, GRAB_JOB_UNIQ, JOB_ASSIGN_UNIQ = 25, 30, 31


def packet(kind: int, *fields: bytes, magic: bytes = b"\0RES") -> bytes:
    body = b"\0".join(fields)
    return HEADER.pack(magic, kind, len(body)) + body


class Peer:
    """The server's side of one connection."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.heard: list[tuple[int, bytes]] = []

    def send(self, *packets: bytes) -> None:
        """All in one write, so that they are read together."""
        self.socket.sendall(b"".join(packets))

    def receive(self) -> tuple[int, bytes]:
        _, kind, size = HEADER.unpack(self._exactly(HEADER.size))
        self.heard.append((kind, self._exactly(size)))
        return self.heard[-1]

    def expect(self, wanted: int) -> bytes:
        """Read up to the next command of a kind, answering echo requests on the way."""
        while True:
            kind, body = self.receive()
            if kind == ECHO_REQ:
                self.send(packet(ECHO_RES, body))
            if kind == wanted:
                return body

    def hold(self) -> None:
        """Read (and answer echo requests) until the other side closes."""
        self.expect(-1)

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            chunk = self.socket.recv(size - len(found))
            if not chunk:
                raise ConnectionResetError
            found += chunk
        return found


class FakeServer:
    """Plays one script for each connection, in order; the last one again for all that follow."""

    def __init__(self, *scripts: Callable[[Peer], None]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in (self._thread, *self._threads):
            thread.join(5)

    def _accept(self) -> None:
        while not self._closed:
            try:
                opened, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            peer = Peer(opened)
            self.peers.append(peer)
            thread = threading.Thread(target=self._play, args=(script, peer), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Callable[[Peer], None], peer: Peer) -> None:
        # The worker may leave at any time; what the test asks about is what was heard.
        with peer.socket, contextlib.suppress(OSError):
            script(peer)


def serve_one(data: bytes, *before: bytes, function: bytes = b"node") -> Callable[[Peer], None]:
    """A good server with one job, which sends some packets ahead of the one that wakes up."""

    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.expect(ECHO_REQ)  # now nothing else is on its way that could stir the worker
        peer.send(*before, packet(NOOP))
        peer.expect(GRAB_JOB_UNIQ)
        peer.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", function, b"key", data))
        peer.expect(WORK_COMPLETE)
        peer.hold()

    return script


def answers_to(peers: Iterable[Peer]) -> list[bytes]:
    """The answers that came, in order."""
    return [
        body.partition(b"\0")[2]
        for peer in list(peers)
        for kind, body in list(peer.heard)
        if kind == WORK_COMPLETE
    ]
