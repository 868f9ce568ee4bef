"""Mutual TLS: the context of the API's listener, its own certificate, and the names of callers."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from libra_amphora import pem
from libra_amphora.errors import AmphoraError
from libra_amphora.files import replace

_VERSIONS = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}


class BadServerCertificate(AmphoraError):
    """The agent's own certificate or its authorities cannot be used; names the file."""

    code = "bad_certificate"


def server_context(*, certificate: Path, authorities: Path, oldest: str) -> ssl.SSLContext:
    """A context that asks every caller for a certificate. Raises BadServerCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[oldest]
    context.verify_mode = ssl.CERT_REQUIRED
    # One is sent at the end of a handshake and tells the caller at once that it may go on; with
    # none, one that has not set TCP_NODELAY waits for a delayed acknowledgement, 40 ms.
    context.num_tickets = 1
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        raise BadServerCertificate(f"agent_server_ca {authorities}: {error}") from error
    try:
        context.load_cert_chain(certificate)
    except (OSError, ValueError) as error:
        raise BadServerCertificate(f"agent_server_cert {certificate}: {error}") from error
    return context


def checked(data: bytes, *, strict: bool) -> None:
    """Raise BadPem where `data` is nothing that this agent could serve its API with.

    `strict` takes only RSA keys.
    """
    chain = pem.pair(data, only_rsa=strict)
    pem.refuse_unusable(chain, now=datetime.datetime.now(datetime.UTC))


def install(data: bytes, *, certificate: Path, context: ssl.SSLContext) -> None:
    """Put a checked certificate in the file's place and have new connections get it.

    To be called where handshakes are made. Raises BadServerCertificate or DiskError; the old one
    stays then.
    """
    candidate = certificate.with_name(f"{certificate.name}.candidate")
    replace(candidate, data)
    try:
        # OpenSSL has the last word, in a context that serves nobody.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(candidate)
        candidate.rename(certificate)
    except (OSError, ValueError) as error:
        raise BadServerCertificate(str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            candidate.unlink(missing_ok=True)
    context.load_cert_chain(certificate)


def names(peer: dict[str, Any]) -> Iterator[str]:
    """The names of a verified certificate, the common one first."""
    for relative in peer.get("subject", ()):
        for kind, value in relative:
            if kind == "commonName":
                yield value
    for _, value in peer.get("subjectAltName", ()):
        yield value
