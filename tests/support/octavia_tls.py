"""Certificates as Octavia hands them to a provider: TLS containers, authorities, revocations."""

from __future__ import annotations

import datetime
import functools
import ssl
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)


@functools.cache
def authority() -> trustme.CA:
    """Who signs what servers show."""
    return trustme.CA(organization_name="servers")


@functools.cache
def between() -> trustme.CA:
    """An intermediate of the same."""
    return authority().create_child_ca()


@functools.cache
def clients() -> trustme.CA:
    """Who signs what clients show."""
    return trustme.CA(organization_name="clients")


@functools.cache
def issued(
    *names: str, signer: str = "authority", common_name: str | None = None
) -> trustme.LeafCert:
    """A certificate by one of the three; the same for the same names."""
    return _issue(*names, signer=signer, common_name=common_name)


def _issue(*names: str, signer: str, common_name: str | None = None) -> trustme.LeafCert:
    by = {"authority": authority, "between": between, "clients": clients}[signer]()
    # HAProxy writes no date of another millennium.
    end = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=90)
    return by.issue_cert(*names, common_name=common_name, not_after=end)


def container(
    *names: str, signer: str = "authority", locked_by: str | None = None, anew: bool = False
) -> dict[str, Any]:
    """A TLS container as octavia-lib's data models have it; the key is `locked_by` a passphrase.

    It is the same for the same names, or another one where it is made `anew`.
    """
    leaf = (_issue if anew else issued)(*names, signer=signer)
    first, *others = (blob.bytes().decode() for blob in leaf.cert_chain_pems)
    key = leaf.private_key_pem.bytes()
    if locked_by is not None:
        key = load_pem_private_key(key, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(locked_by.encode())
        )
    return {
        "id": "0" * 40,
        "primary_cn": names[0],
        "certificate": first,
        "private_key": key.decode(),
        "passphrase": locked_by,
        "intermediates": others,
    }


def authority_pem(one: trustme.CA) -> str:
    return one.cert_pem.bytes().decode()


def revocations(*leaves: trustme.LeafCert, by: trustme.CA | None = None) -> str:
    """A revocation list of the clients' authority, or another one."""
    signer = by or clients()
    now = datetime.datetime.now(datetime.UTC)
    certificate = x509.load_pem_x509_certificate(signer.cert_pem.bytes())
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=certificate.subject,
        last_update=now - datetime.timedelta(days=1),
        next_update=now + datetime.timedelta(days=30),
    )
    for leaf in leaves:
        revoked = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder(
                serial_number=revoked.serial_number,
                revocation_date=now - datetime.timedelta(hours=1),
            ).build()
        )
    key: Any = load_pem_private_key(signer.private_key_pem.bytes(), None)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def client(
    *protocols: str,
    shows: trustme.LeafCert | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """A client that trusts the servers' authority, speaks `protocols` and may show who it is."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    if oldest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("ALL:@SECLEVEL=0")
    if ciphers is not None:
        context.set_ciphers(ciphers)
    context.minimum_version = oldest
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if shows is not None:
        shows.configure_cert(context)
    return context
