"""An HTTP proxy in front of a real store, which does to chosen requests what networks do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_CHUNK = 65536


@dataclass(frozen=True)
class Answer:
    """Take the request and answer it with a status, without asking the store."""

    status: int


@dataclass(frozen=True)
class Cut:
    """Pass on this many bytes of the body, then reset both connections."""

    after: int


@dataclass(frozen=True)
class LoseAnswer:
    """Have the store carry it out, and reset the connection instead of the answer."""


@dataclass(frozen=True)
class Silence:
    """Take the request and say nothing."""


@dataclass(frozen=True)
class Slow:
    """Take this many bytes a second of the body."""

    rate: int


@dataclass(frozen=True)
class Corrupt:
    """Change a byte of the body on its way."""


@dataclass(frozen=True)
class Trickle:
    """Take the request, and answer it byte by byte, for ever."""


Fault = Answer | Cut | LoseAnswer | Silence | Slow | Corrupt | Trickle


class FaultyStore:
    """Forwards to the loopback port of a store; `fault` says what becomes of which request."""

    def __init__(self, target_port: int) -> None:
        self.fault: Callable[[str, str], Fault | None] = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self._ended = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                proxy.requests.append((self.command, self.path))
                fault = proxy.fault(self.command, self.path)
                body = _body(self)
                if isinstance(fault, Answer):
                    for _ in body:
                        pass
                    self._answer(fault.status, {}, b"")
                elif isinstance(fault, Trickle):
                    for _ in body:
                        pass
                    self.wfile.write(b"HTTP/1.1 201 Created\r\nX-Long: ")
                    while not proxy._ended.wait(0.2):
                        self.wfile.write(b"x")
                elif isinstance(fault, Silence):
                    for _ in body:
                        pass
                    proxy._ended.wait(120)
                    self._reset()
                else:
                    self._forward(fault, body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._handle
                raise AttributeError(name)

            def _forward(self, fault: Fault | None, body: Iterator[bytes]) -> None:
                far = http.client.HTTPConnection("127.0.0.1", target_port, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
                passed = _changed(fault, body, proxy._ended)
                try:
                    if self.command in ("PUT", "POST"):
                        far.request(
                            self.command,
                            self.path,
                            body=passed,
                            headers=headers,
                            encode_chunked=chunked,
                        )
                    else:
                        far.request(self.command, self.path, headers=headers)
                    answer = far.getresponse()
                    data = answer.read()
                except _CutOff:
                    _reset(far.sock)
                    self._reset()
                    return
                finally:
                    far.close()
                if isinstance(fault, LoseAnswer):
                    self._reset()
                else:
                    self._answer(answer.status, dict(answer.headers.items()), data)

            def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def _reset(self) -> None:
                self.close_connection = True
                _reset(self.connection)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """What a client cuts off is no error of the proxy."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> FaultyStore:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, fault: Fault, *, part: str = "/haproxy-", times: int = 10**9) -> None:
        """Do this to the next `times` requests of a method whose path holds `part`."""
        left = iter(range(times))

        def decide(asked: str, path: str) -> Fault | None:
            hit = asked == method and part in path and next(left, None) is not None
            return fault if hit else None

        self.fault = decide

    def mend(self) -> None:
        """Pass everything on from now on."""
        self.fault = lambda _method, _path: None


class _CutOff(Exception):
    """The body ended as a fault has it."""


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    if "chunked" not in handler.headers.get("Transfer-Encoding", ""):
        left = int(handler.headers.get("Content-Length", "0"))
        while left and (chunk := handler.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk
        return
    while size := int(handler.rfile.readline().split(b";")[0] or b"0", 16):
        left = size
        while left and (chunk := handler.rfile.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk
        handler.rfile.readline()
    handler.rfile.readline()


def _changed(fault: Fault | None, body: Iterator[bytes], ended: threading.Event) -> Iterator[bytes]:
    passed = 0
    for chunk in body:
        if isinstance(fault, Cut) and passed + len(chunk) > fault.after:
            yield chunk[: fault.after - passed]
            raise _CutOff
        if isinstance(fault, Slow):
            for start in range(0, len(chunk), fault.rate):
                yield chunk[start : start + fault.rate]
                if ended.wait(1.0):
                    raise _CutOff
        elif isinstance(fault, Corrupt) and not passed:
            yield bytes([chunk[0] ^ 1]) + chunk[1:]
        else:
            yield chunk
        passed += len(chunk)
    if isinstance(fault, Cut):
        raise _CutOff


def _reset(connection: socket.socket | None) -> None:
    """Close at once, so that the other end reads of a reset."""
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        time.sleep(0)
