"""A client of HTTP/2 over TLS: one request at a time, on a connection that is kept."""

from __future__ import annotations

import hashlib
import select
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.events

_SECONDS = 30.0
_HEAD, _GOAWAY = 9, 7  # RFC 9113, 4.1 and 6.8


@dataclass(frozen=True)
class H2Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class H2Client:
    """One connection; `leaving` once the server has said that it takes no more for long."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        *,
        name: str = "libra.example",
        host: str = "127.0.0.1",
    ) -> None:
        plain = socket.create_connection((host, port), timeout=_SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        self.leaving = False
        self._unread = b""
        self.protocol = self._socket.selected_alpn_protocol()
        self.certificate = self._socket.getpeercert(binary_form=True)
        assert self.protocol == "h2", self.protocol
        self._name = name
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        self._flush()

    @property
    def leaf(self) -> str:
        """The fingerprint of the server's certificate, as HAProxy writes it."""
        assert self.certificate is not None
        return hashlib.sha1(self.certificate, usedforsecurity=False).hexdigest().upper()

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> H2Answer:
        """Raises OSError or EOFError where the connection ends before the answer does."""
        stream = self._h2.get_next_available_stream_id()
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", self._name),
                  (":path", path), *(headers or {}).items()]  # fmt: skip
        self._h2.send_headers(stream, fields, end_stream=True)
        self._flush()
        got: dict[str, str] = {}
        body = b""
        while True:
            for event in self._receive():
                if isinstance(event, h2.events.ResponseReceived):
                    got = {str(name): str(value) for name, value in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset):
                    raise EOFError(f"the stream was reset: {event.error_code}")  # noqa: TRY004
                elif isinstance(event, h2.events.StreamEnded):
                    self._flush()
                    return H2Answer(int(got[":status"]), got, body)
            self._flush()

    def listen(self) -> None:
        """Take what has come meanwhile, without waiting."""
        while self._socket.pending() or select.select([self._socket], [], [], 0)[0]:
            self._receive()
        self._flush()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self) -> list[h2.events.Event]:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError("the connection was closed")
        self._unread += data
        frames = b""
        while len(self._unread) >= _HEAD:
            size = _HEAD + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < size:
                break
            frame, self._unread = self._unread[:size], self._unread[size:]
            if frame[3] == _GOAWAY:
                # Streams that are open go on (RFC 9113, 6.8), which the library does not know.
                self.leaving = True
                assert int.from_bytes(frame[_HEAD + 4 : _HEAD + 8], "big") == 0, "an error"
            else:
                frames += frame
        return self._h2.receive_data(frames)

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())
