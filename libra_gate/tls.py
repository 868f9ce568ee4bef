"""TLS as a server, without input or output: bytes of the network in, bytes of the client out.

asyncio's own TLS keeps a buffer of 256 KiB for each connection, 300 kB in all as measured; here a
connection is a tenth of that, and a node has ten of them (`make bench`, figure 12).
"""

from __future__ import annotations

import ssl
from pathlib import Path

from libra_common.errors import SettingsError

_CHUNK = 64 * 1024


def server_context(*, key: Path, cert: Path, ca: Path) -> ssl.SSLContext:
    """Make a context that takes TLS 1.2 and 1.3 from holders of certificates of `ca` alone.

    Raises SettingsError, which names the setting and the file.
    """
    for name, path in (("ssl_key", key), ("ssl_cert", cert), ("ssl_ca", ca)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise SettingsError(
                f"[gate] {name} = {str(path)!r}: cannot be read: {error.strerror}"
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # Nobody resumes a session: each connection shows its certificate, and is judged by it.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"[gate] ssl_ca = {str(ca)!r}: no usable certificate: {error}"
        ) from None
    try:
        # The password callback keeps OpenSSL from asking for a passphrase on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"[gate] ssl_key = {str(key)!r} and ssl_cert = {str(cert)!r} cannot be used together:"
            f" {error}"
        ) from None
    return context


class TlsStream:
    """One connection's TLS. Every method may raise ssl.SSLError, after which only `outgoing` may
    still be called: what it gives tells the client why.
    """  # noqa: D205 - one sentence

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.shaken = False
        """Whether the handshake is done, and the client's certificate verified."""
        self.ended = False
        """Whether the client said that it sends no more."""

    def receive(self, data: bytes) -> bytes:
        """Take what came from the network; give what the client said by it."""
        self._incoming.write(data)
        try:
            if not self.shaken:
                self._object.do_handshake()
                self.shaken = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""

    def send(self, data: bytes) -> None:
        """Encrypt what goes to the client; `outgoing` has it then."""
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                sent += self._object.write(view[sent : sent + _CHUNK])

    def outgoing(self) -> bytes:
        """Give what is to be sent by the network, once."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say to the client that nothing more comes."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            return  # it has not said so itself yet; ours is in `outgoing`

    def certificate(self) -> bytes:
        """Give the client's certificate, DER."""
        return self._object.getpeercert(binary_form=True) or b""

    def _read(self) -> bytes:
        pieces = []
        while True:
            try:
                piece = self._object.read(_CHUNK)
            except ssl.SSLWantReadError:
                break
            if not piece:
                self.ended = True
                break
            pieces.append(piece)
        return b"".join(pieces)
