"""Which gearman servers to speak to, and with which TLS files; nothing here opens a socket."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from libra_common.errors import SettingsError

DEFAULT_PORT = 4730
"""The port that IANA gave to gearman."""

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True, order=True)
class GearmanServer:
    """One gearman server: a host name or address (IPv6 without brackets) and a TCP port."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str) -> GearmanServer:
    """Read `host`, `host:port`, `::1`, `[::1]` or `[::1]:port`; the port defaults to 4730.

    Raises SettingsError, which quotes the text, for anything else.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        host, bracket, rest = stripped[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _malformed(text, "expected [address]:port")
        port = rest[1:] if rest else None
        return GearmanServer(_ipv6(host, text), _port(port, text))
    if stripped.count(":") > 1:
        # Only brackets could tell a port from the last group, so there is none here.
        return GearmanServer(_ipv6(stripped, text), DEFAULT_PORT)
    host, colon, rest = stripped.partition(":")
    if not _HOST_NAME.fullmatch(host):
        raise _malformed(text, "expected a host name or an address")
    return GearmanServer(host, _port(rest if colon else None, text))


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The three PEM files of mutual TLS: our private key, our certificate, the trusted authority.

    They are read once: files that are replaced serve with the next `TlsFiles`, and broken ones
    never put out what works. Raises OSError (of which ssl.SSLError is one) when a file cannot be
    read or used.
    """

    key: Path
    cert: Path
    ca: Path
    context: ssl.SSLContext = field(init=False, repr=False, compare=False)
    """Demands TLS 1.2 or later and a verified server name."""

    def __post_init__(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # The password callback keeps OpenSSL from asking for a passphrase on the terminal.
        context.load_cert_chain(str(self.cert), str(self.key), password=lambda: "")
        object.__setattr__(self, "context", context)


def tls_from(key: str | None, cert: str | None, ca: str | None) -> TlsFiles | None:
    """Turn three settings into TLS files: all empty is None (plain TCP), all set is TLS.

    Raises SettingsError when only some are set, or a file cannot be read or used: somebody who
    named even one of them wants TLS, and must never get plain text instead.
    """
    given = {"ssl_key": key, "ssl_cert": cert, "ssl_ca": ca}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing or not (key and cert and ca):
        raise SettingsError(
            f"TLS needs ssl_key, ssl_cert and ssl_ca together; missing: {', '.join(missing)}"
        )
    for name, value in given.items():
        try:
            Path(str(value)).read_bytes()
        except OSError as error:
            raise SettingsError(f"{name}: cannot read {value!r}: {error.strerror}") from error
    try:
        ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise SettingsError(f"ssl_ca: no usable certificate in {ca!r}: {error}") from error
    try:
        return TlsFiles(Path(key), Path(cert), Path(ca))
    except OSError as error:
        raise SettingsError(
            f"ssl_key {key!r} and ssl_cert {cert!r} cannot be used together: {error}"
        ) from error


def _ipv6(host: str, text: str) -> str:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise _malformed(text, f"{host!r} is not an IPv6 address") from None
    return host


def _port(text: str | None, whole: str) -> int:
    if text is None:
        return DEFAULT_PORT
    # isdecimal alone would let other scripts' digits through.
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= 65535):
        raise _malformed(whole, f"port {text!r} is not a number from 1 to 65535")
    return int(text)


def _malformed(text: str, reason: str) -> SettingsError:
    return SettingsError(f"gearman server {text!r}: {reason}")
