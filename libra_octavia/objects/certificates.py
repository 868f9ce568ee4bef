"""Certificates, keys and revocation lists as Octavia hands them over: read, checked, in one form.

What is read is written anew, so that a device gets PEM and nothing that stood beside it. No message
quotes any of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)
_KEYS = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class BadPem(ValueError):
    """What was handed over cannot be used; the text says why and quotes nothing of it."""


def pair(container: object) -> bytes:
    """A TLS container as one file: the certificate, what leads to its issuer, its private key.

    A key that is encrypted is opened with the container's passphrase. Raises BadPem.
    """
    if not isinstance(container, Mapping):
        raise BadPem("is no TLS container")
    certificates = _certificates(_bytes(container.get("certificate")))
    for one in container.get("intermediates") or ():
        certificates += _certificates(_bytes(one))
    key = _key(container)
    if certificates[0].public_key().public_bytes(*_PUBLIC) != key.public_key().public_bytes(
        *_PUBLIC
    ):
        raise BadPem("its private key does not belong to its certificate")
    private: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates) + private


def authority(text: object) -> bytes:
    """The certificates of an authority, or of several. Raises BadPem."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in _certificates(_bytes(text)))


def revoked(text: object) -> bytes:
    """A revocation list, or several. Raises BadPem."""
    end = b"-----END X509 CRL-----"
    blocks = [block + end for block in _bytes(text).split(end)[:-1]]
    if not blocks:
        raise BadPem("has no revocation list in PEM")
    try:
        lists = [x509.load_pem_x509_crl(block.lstrip() + b"\n") for block in blocks]
        return b"".join(one.public_bytes(Encoding.PEM) for one in lists)
    except _UNREADABLE:
        raise BadPem("has a revocation list that cannot be read") from None


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except _UNREADABLE:
        raise BadPem("has no certificate in PEM that can be read") from None


def _key(container: Mapping[str, Any]) -> Any:
    text = container.get("private_key")
    if not text:
        raise BadPem("has no private key")
    passphrase = container.get("passphrase") or None
    try:
        key = _opened(_bytes(text), None if passphrase is None else _bytes(passphrase))
    except _UNREADABLE:
        raise BadPem("has a private key that its passphrase does not open") from None
    if not isinstance(key, (*_KEYS, ed448.Ed448PrivateKey)):
        raise BadPem("has a private key of a kind that is not supported")
    return key


def _opened(pem: bytes, passphrase: bytes | None) -> Any:
    try:
        return load_pem_private_key(pem, passphrase)
    except TypeError:
        # A passphrase for a key that is not encrypted (any more), as Octavia hands them over.
        return load_pem_private_key(pem, None)


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise BadPem("is no text of PEM")
