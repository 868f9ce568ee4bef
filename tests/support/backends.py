"""Small servers behind the load balancer, each of which says who it is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.ports import free_port


class HttpBackend:
    """Answers GET with its name and POST with the body it got; counts requests."""

    def __init__(self, name: str, port: int | None = None, host: str = "127.0.0.1") -> None:
        self.name = name
        self.host = host
        self.requests: list[Mapping[str, str]] = []
        self.on_path: Callable[[str], object] = lambda _: None
        self.failing: set[str] = set()
        """Paths that are answered with 503."""
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                backend.on_path(self.path)
                backend.requests.append({k.title(): v for k, v in self.headers.items()})
                status = 503 if self.path in backend.failing else 200
                self._answer(backend.name.encode(), status)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                backend.requests.append({k.title(): v for k, v in self.headers.items()})
                self._answer(body)

            def _answer(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Backend", backend.name)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A load balancer may cut an idle connection; that is no error of a backend."""

        self._server = Server((host, port or free_port(host)), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    def __enter__(self) -> HttpBackend:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def node(self, **fields: Any) -> dict[str, Any]:
        """This backend as a node of a message."""
        return {"address": self.host, "port": str(self.port), **fields}


class EchoBackend:
    """Sends back every byte of a TCP connection."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._listener = socket.create_server((host, 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.accepted = 0

    def __enter__(self) -> EchoBackend:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def node(self, **fields: Any) -> dict[str, Any]:
        return {"address": "127.0.0.1", "port": self.port, **fields}

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            try:
                while chunk := connection.recv(65536):
                    connection.sendall(chunk)
            except OSError:
                return
