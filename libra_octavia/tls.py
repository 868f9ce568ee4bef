"""What of TLS a listener or a pool has: certificates and how TLS is spoken. Frozen values.

A value that exists can be rendered and served. Certificates are named by their place (whose and
what for) and not by what is in them, so that a new one takes the place of the old under its name,
and the text of HAProxy's file stays as it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum


class Verify(StrEnum):
    """Whether clients show a certificate; one that is shown must be good in any case."""

    NONE = "NONE"
    OPTIONAL = "OPTIONAL"
    MANDATORY = "MANDATORY"


class Version(StrEnum):
    """Versions of TLS, the oldest first."""

    V1_0 = "TLSv1"
    V1_1 = "TLSv1.1"
    V1_2 = "TLSv1.2"
    V1_3 = "TLSv1.3"


@dataclass(frozen=True, kw_only=True)
class Pem:
    """A file of certificates, of a private key too maybe; its `repr` shows nothing of it.

    `name` is the file's, 40 hexadecimal digits and `.pem`, as the amphora API takes it.
    """

    name: str
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, owner: str, use: str, content: bytes) -> Pem:
        """The file that an object (by its id) has for one use."""
        # Not for security: only as many digits as the amphora API wants.
        digest = hashlib.sha1(f"{owner}:{use}".encode(), usedforsecurity=False).hexdigest()
        return cls(name=f"{digest}.pem", content=content)


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """How TLS is spoken: a range of versions, ciphers of TLS up to 1.2 and of 1.3, protocols.

    None and nothing stand for what OpenSSL does by itself; `alpn` is in the order of preference.
    """

    oldest: Version = Version.V1_2
    newest: Version = Version.V1_3
    ciphers: str | None = None
    suites: str | None = None
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ListenerTls:
    """How a listener ends TLS. The first certificate serves clients that name none of the others.

    `authority` and `revoked` are what clients' certificates are checked by.
    """

    certificates: tuple[Pem, ...]
    spoken: Spoken = Spoken()
    verify: Verify = Verify.NONE
    authority: Pem | None = None
    revoked: Pem | None = None

    @property
    def pems(self) -> tuple[Pem, ...]:
        """All its files."""
        return (*self.certificates, *_those(self.authority, self.revoked))


@dataclass(frozen=True, kw_only=True)
class PoolTls:
    """How members are spoken to by TLS: with which certificate, and checked by which authority."""

    spoken: Spoken = Spoken()
    certificate: Pem | None = None
    authority: Pem | None = None
    revoked: Pem | None = None

    @property
    def pems(self) -> tuple[Pem, ...]:
        """All its files."""
        return _those(self.certificate, self.authority, self.revoked)


def _those(*pems: Pem | None) -> tuple[Pem, ...]:
    return tuple(pem for pem in pems if pem is not None)
