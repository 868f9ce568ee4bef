"""The pages over HTTP, on a unix socket or a loopback port. Standard library only.

For the machine's own monitoring: nothing here is secret, and nothing can be changed.
"""

from __future__ import annotations

import http.server
import logging
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any

from libra_common.errors import LibraError
from libra_common.health.page import Answer, Page
from libra_common.settings.values import HostPort

LOG = logging.getLogger(__name__)

_SECONDS = 5.0
"""For a whole request: who is slower is left."""
_AT_ONCE = 16
"""Requests at the same time; others wait for the kernel."""


class HealthUnavailable(LibraError):
    """The pages cannot be served where the setting says."""

    code = "health_unavailable"


class HealthServer:
    """Serves the pages of one daemon until it is closed; in threads that hold nobody up."""

    def __init__(self, *, at: Path | HostPort, page: Page) -> None:
        self._at = at
        self._server = _open(at, page)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.5,), name="health", daemon=True
        )
        self._thread.start()
        LOG.info("health and metrics at %s", at)

    @property
    def port(self) -> int | None:
        """The port, None for a unix socket."""
        return None if isinstance(self._at, Path) else int(self._server.server_address[1])

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        if isinstance(self._at, Path):
            self._at.unlink(missing_ok=True)


def serve(at: Path | HostPort | None, page: Page) -> HealthServer | None:
    """Serve the pages there; None where the setting names nothing.

    Raises HealthUnavailable, with the reason.
    """
    return None if at is None else HealthServer(at=at, page=page)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, at: Path | HostPort, page: Page) -> None:
        self.page = page
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        if isinstance(at, Path):
            self.address_family = socket.AF_UNIX
            self.allow_reuse_address = False
            address: Any = str(at)
        else:
            self.address_family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
            address = (at.host, at.port)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._places.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        LOG.debug("a request for health was not answered")


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = _SECONDS
    server_version = "libra"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def address_string(self) -> str:
        return "a local caller"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        LOG.debug("health: " + format, *args)

    def _answer(self, *, with_body: bool) -> None:
        server = self.server
        assert isinstance(server, _Server)  # noqa: S101 - it is made there
        answer = _answered(server.page, self.path)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)


def _answered(page: Page, path: str) -> Answer:
    try:
        return page.answer(path)
    except Exception:
        LOG.exception("the page %s failed", path[:80])
        return Answer(status=500, kind="text/plain", body=b"a fault in Libra; see the log\n")


def _open(at: Path | HostPort, page: Page) -> _Server:
    try:
        if isinstance(at, Path):
            _clear(at)
        server = _Server(at, page)
        if isinstance(at, Path):
            at.chmod(0o660)
    except OSError as error:
        raise HealthUnavailable(f"health and metrics cannot be served at {at}: {error}") from error
    return server


def _clear(path: Path) -> None:
    """Remove the socket of a daemon that is no more; one that answers is another's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise FileExistsError("another process serves there")
