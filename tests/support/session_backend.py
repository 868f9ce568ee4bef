"""A web server with sessions of its own."""

from __future__ import annotations

from typing import Any

from tests.support.backends import HttpBackend


class SessionBackend(HttpBackend):
    """Gives each client that has none a session, in the cookie `sid`."""

    def __init__(self, name: str, host: str = "127.0.0.1") -> None:
        super().__init__(name, host=host)
        self._sessions = 0
        handler: Any = self._server.RequestHandlerClass
        backend = self

        def answer(self: Any, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            if "Cookie" not in self.headers:
                backend._sessions += 1
                self.send_header("Set-Cookie", f"sid={name}{backend._sessions}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        handler._answer = answer
