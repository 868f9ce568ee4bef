"""A web server whose health can be said: it keeps what it is asked, by whatever method."""

from __future__ import annotations

import socket

from tests.support.tcp_backend import TcpBackend


class HealthBackend(TcpBackend):
    """Answers its name with 200, and what is below /health with `status`; `asked` holds all heads.

    HTTP/1.0 and one request for each connection.
    """

    def __init__(self, name: str, status: int = 200, host: str = "127.0.0.1") -> None:
        self.name = name
        self.status = status
        self.asked: list[str] = []
        super().__init__(host)

    @property
    def checked(self) -> list[str]:
        """The heads of the health checks."""
        return [head for head in self.asked if " /health" in head]

    def _serve(self, opened: socket.socket) -> None:
        with opened:
            try:
                opened.settimeout(15)
                said = b""
                while b"\r\n\r\n" not in said:
                    chunk = opened.recv(65536)
                    if not chunk:
                        return
                    said += chunk
                head = said.decode()
                self.asked.append(head)
                health = " /health" in head.splitlines()[0]
                body = "" if health else self.name
                status = self.status if health else 200
                opened.sendall(
                    f"HTTP/1.0 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                )
            except OSError:
                return
