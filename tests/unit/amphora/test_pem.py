"""What a PEM file is, and in which words it is refused."""

from __future__ import annotations

import datetime

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora import pem
from libra_amphora.pem import BadPem, Content

CA = trustme.CA()
RSA = CA.issue_cert("rsa.example.com", key_type=trustme.KeyType.RSA)
EC = CA.issue_cert("ec.example.com")
NOW = datetime.datetime.now(datetime.UTC)


def certificates(leaf: trustme.LeafCert) -> bytes:
    return b"".join(one.bytes() for one in leaf.cert_chain_pems)


def revocations() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([]))
        .last_update(NOW)
        .next_update(NOW + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def encrypted() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )


def message(data: bytes, *, only_rsa: bool = False) -> str | None:
    try:
        pem.pair(data, only_rsa=only_rsa)
    except BadPem as error:
        return error.message
    return None


@pytest.mark.parametrize("leaf", [RSA, EC])
def test_key_and_certificate_are_a_pair_in_any_order(leaf: trustme.LeafCert) -> None:
    key = leaf.private_key_pem.bytes()
    assert message(key + certificates(leaf)) is None
    assert message(certificates(leaf) + key) is None
    assert message(b"a note\n" + certificates(leaf) + b"\r\n\r\n" + key) is None


def test_each_fault_has_the_documents_words() -> None:
    rsa_key, ec_key = RSA.private_key_pem.bytes(), EC.private_key_pem.bytes()
    assert message(b"") == "No certificate found"
    assert message(rsa_key) == "No certificate found"
    assert message(certificates(RSA)) == "No RSA key found"
    assert message(certificates(RSA) + encrypted()) == "No RSA key found"
    assert message(ec_key + certificates(RSA)) == "Certificate and key do not match"
    assert message(ec_key + certificates(EC), only_rsa=True) == "No RSA key found"
    broken = certificates(RSA).replace(b"A", b"B")
    assert message(rsa_key + broken) == "No certificate found"


def test_content_is_told_apart() -> None:
    assert pem.content(RSA.private_key_and_cert_chain_pem.bytes()) is Content.PAIR
    assert pem.content(CA.cert_pem.bytes()) is Content.CERTIFICATES
    assert pem.content(revocations()) is Content.REVOCATIONS


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----",
        b"\xff\xfe",
    ],
)
def test_broken_content_is_refused(data: bytes) -> None:
    with pytest.raises(BadPem):
        pem.content(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    for text in (data, b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"):
        with pytest.raises(BadPem):
            pem.pair(text)


def test_chain_must_be_in_order_and_in_its_time() -> None:
    child = CA.create_child_ca()
    leaf = child.issue_cert("x.example.com")
    chain = pem.pair(leaf.private_key_and_cert_chain_pem.bytes() + child.cert_pem.bytes())
    pem.refuse_unusable(chain[:2], now=NOW)

    def refused(certificates: list[x509.Certificate], now: datetime.datetime) -> str:
        with pytest.raises(BadPem) as error:
            pem.refuse_unusable(certificates, now=now)
        return error.value.message

    year = datetime.timedelta(days=365)
    stranger = pem.pair(RSA.private_key_and_cert_chain_pem.bytes())[0]
    assert refused([chain[0], stranger], NOW) == "Certificate chain is broken"
    assert refused(chain[:1], NOW + 2000 * year) == "Certificate has expired"
    assert refused(chain[:1], NOW - 100 * year) == "Certificate is not valid yet"
