"""A web server by TLS, which tells what its clients showed and spoke."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import h2.config
import h2.connection
import h2.events
import trustme

from tests.support.octavia_tls import issued
from tests.support.tcp_backend import TcpBackend


class TlsBackend(TcpBackend):
    """Answers each request with its name; HTTP/2 where that is agreed on.

    `seen` holds for each request the version, the cipher, the protocol and the client's common
    name. `accepts` is who signs the clients that are let in, none for everyone.
    """

    def __init__(
        self,
        name: str,
        *,
        shows: trustme.LeafCert | None = None,
        accepts: trustme.CA | None = None,
        protocols: tuple[str, ...] = (),
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        host: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.seen: list[tuple[str, str, str | None, str]] = []
        self._context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (shows or issued("www.example.org")).configure_cert(context)
        context.maximum_version = newest
        if protocols:
            context.set_alpn_protocols(list(protocols))
        if accepts is not None:
            accepts.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(host)

    def _serve(self, opened: socket.socket) -> None:
        try:
            opened.settimeout(15)
            with self._context.wrap_socket(opened, server_side=True) as secure:
                if secure.selected_alpn_protocol() == "h2":
                    self._speak_h2(secure)
                else:
                    self._speak_http(secure)
        except OSError:
            opened.close()

    def _speak_http(self, opened: ssl.SSLSocket) -> None:
        said = b""
        while b"\r\n\r\n" not in said:
            chunk = opened.recv(65536)
            if not chunk:
                return
            said += chunk
        self._note(opened)
        body = self.name.encode()
        opened.sendall(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )

    def _speak_h2(self, opened: ssl.SSLSocket) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        opened.sendall(connection.data_to_send())
        while data := opened.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self._note(opened)
                    connection.send_headers(event.stream_id, [(":status", "200")])
                    connection.send_data(event.stream_id, self.name.encode(), end_stream=True)
            opened.sendall(connection.data_to_send())

    def _note(self, opened: ssl.SSLSocket) -> None:
        cipher = opened.cipher()
        shown: Any = opened.getpeercert() or {}
        names = [value for part in shown.get("subject", ()) for key, value in part]
        self.seen.append(
            (
                opened.version() or "",
                cipher[0] if cipher else "",
                opened.selected_alpn_protocol(),
                " ".join(names),
            )
        )
