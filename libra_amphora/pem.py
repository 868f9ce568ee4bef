"""What a PEM file is: a key with its certificates, certificates alone, a revocation list. Pure.

The three refusals are the specs' own ("Upload SSL certificate PEM file").
"""

from __future__ import annotations

import datetime
import enum
import itertools
import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from libra_amphora.errors import AmphoraError

NO_CERTIFICATE = "No certificate found"
NO_KEY = "No RSA key found"
NO_MATCH = "Certificate and key do not match"

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_KEYS = (b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY")


class BadPem(AmphoraError):
    """The data is not what it should be; the text is one of the three above, or says more."""

    code = "bad_pem"

    def __init__(self, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Content(enum.Enum):
    """What a file holds."""

    PAIR = "pair"
    CERTIFICATES = "certificates"
    REVOCATIONS = "revocations"


def pair(data: bytes, *, only_rsa: bool = False) -> list[x509.Certificate]:
    """The certificates of a file with a key and its certificate, in any order; the key's first.

    With `only_rsa` another key is none. Raises BadPem.
    """
    certificates = _certificates(data)
    if not certificates:
        raise BadPem(NO_CERTIFICATE)
    key = _key(data)
    if key is None or (only_rsa and not isinstance(key, rsa.RSAPrivateKey)):
        raise BadPem(NO_KEY)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificates[0].public_key().public_bytes(*spki) != key.public_key().public_bytes(*spki):
        raise BadPem(NO_MATCH)
    return certificates


def content(data: bytes) -> Content:
    """What a file holds whose name says nothing. Raises BadPem where it is broken or neither."""
    kinds = {found[1] for found in _BLOCK.finditer(data)}
    if any(kind.endswith(b"PRIVATE KEY") for kind in kinds):
        pair(data)
        return Content.PAIR
    if b"X509 CRL" in kinds and b"CERTIFICATE" not in kinds:
        try:
            for found in _BLOCK.finditer(data):
                x509.load_pem_x509_crl(found[0] + b"\n")
        except ValueError:
            raise BadPem(NO_CERTIFICATE, "a revocation list cannot be read") from None
        return Content.REVOCATIONS
    if not _certificates(data):
        raise BadPem(NO_CERTIFICATE)
    return Content.CERTIFICATES


def refuse_unusable(chain: Sequence[x509.Certificate], *, now: datetime.datetime) -> None:
    """Raise BadPem where a server could not use a chain: dates, order, key identifiers."""
    for certificate in chain:
        name = certificate.subject.rfc4514_string()
        if now > certificate.not_valid_after_utc:
            raise BadPem("Certificate has expired", name)
        if now < certificate.not_valid_before_utc:
            raise BadPem("Certificate is not valid yet", name)
    for certificate, issuer in itertools.pairwise(chain):
        name = certificate.subject.rfc4514_string()
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise BadPem("Certificate chain is broken", f"after {name}") from None
        theirs, ours = _identifier(issuer), _issuer_identifier(certificate)
        if theirs is not None and ours is not None and theirs != ours:
            raise BadPem("Certificate chain is broken", f"the key identifiers after {name}")


def has_pair(data: bytes) -> bool:
    """Whether a file that was checked before has a key with its certificate."""
    kinds = {found[1] for found in _BLOCK.finditer(data)}
    return b"CERTIFICATE" in kinds and not kinds.isdisjoint(_KEYS)


def _certificates(data: bytes) -> list[x509.Certificate]:
    try:
        return [
            x509.load_pem_x509_certificate(found[0] + b"\n")
            for found in _BLOCK.finditer(data)
            if found[1] == b"CERTIFICATE"
        ]
    except ValueError:
        return []


def _key(data: bytes) -> PrivateKeyTypes | None:
    """The first private key that is not encrypted."""
    for found in _BLOCK.finditer(data):
        if found[1] in _KEYS:
            try:
                key = load_pem_private_key(found[0] + b"\n", password=None)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                return None
            return None if isinstance(key, dsa.DSAPrivateKey) else key
    return None


def _identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value.digest
    except (x509.ExtensionNotFound, ValueError):
        return None


def _issuer_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return None
