"""Making certificates, keys and revocation lists: what is in them, and nothing of where they are.

Keys are ECDSA on P-256: every TLS 1.2 and 1.3 speaks it, and a key is made in a millisecond.
Raises nothing of its own for values that `authority` has checked.
"""

from __future__ import annotations

import datetime
import enum
import ipaddress
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

SKEW = datetime.timedelta(minutes=10)
"""How far a certificate's beginning is dated back, for clocks that are behind."""

_COMMON_NAME_LIMIT = 64  # characters, RFC 5280 appendix A (ub-common-name)


class Usage(enum.StrEnum):
    """What the holder of a certificate is to its peers."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"


_PURPOSES = {
    Usage.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Usage.SERVER: (ExtendedKeyUsageOID.SERVER_AUTH,),
    Usage.BOTH: (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
}


def usage_of(purposes: x509.ExtendedKeyUsage) -> Usage:
    """Give back the usage that a certificate was made for."""
    return next(usage for usage, wanted in _PURPOSES.items() if set(wanted) == set(purposes))


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Give a private key as PEM (PKCS 8), without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def pem(made: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """Give a certificate or a list as PEM."""
    return made.public_bytes(serialization.Encoding.PEM)


def root(
    key: ec.EllipticCurvePrivateKey, *, name: str, now: datetime.datetime, days: float
) -> x509.Certificate:
    """Make the certificate of an authority that signs end certificates and nothing else."""
    subject = _subject(name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_others=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def leaf(
    *,
    issuer: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    name: str,
    uri: str | None,
    dns: Sequence[str],
    addresses: Sequence[Address],
    usage: Usage,
    now: datetime.datetime,
    days: float,
) -> x509.Certificate:
    """Make an end certificate; it never outlives its issuer."""
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in dns]
    names += [x509.IPAddress(one) for one in addresses]
    if uri is not None:
        names.append(x509.UniformResourceIdentifier(uri))
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, issuer.not_valid_before_utc))
        .not_valid_after(min(now + datetime.timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_others=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_PURPOSES[usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return built.sign(signer, hashes.SHA256())


def revocation_list(
    *,
    issuer: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    revoked: Mapping[int, datetime.datetime],
    number: int,
    now: datetime.datetime,
) -> x509.CertificateRevocationList:
    """Make the list of serial numbers that are no longer good, by the time each was revoked.

    It is good for as long as the authority is: one that nobody renewed must never lock out
    everybody, as a list past its `nextUpdate` does.
    """
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(min(now - SKEW, issuer.not_valid_after_utc - SKEW))
        .next_update(issuer.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    for serial, moment in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        built = built.add_revoked_certificate(entry.build())
    return built.sign(signer, hashes.SHA256())


def _subject(name: str) -> x509.Name:
    # Cut where it is too long for this field: the whole name is in the URI, which is what counts.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_COMMON_NAME_LIMIT])])


def _key_usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        encipher_only=False,
        decipher_only=False,
    )
