from __future__ import annotations

import hashlib
import ssl
import stat
from pathlib import Path

import pytest

from libra_haproxy.certificates import Bundle, Certificates
from libra_haproxy.errors import BadCertificate, CertificateMissing
from libra_haproxy.model import LoadBalancer, Model, Protocol, Tls
from tests.support.certificates import bundle, pem


def naming(*bundles: Bundle) -> Model:
    return Model(
        load_balancers=tuple(
            LoadBalancer(
                protocol=protocol, port=443, servers=(), tls=Tls(certificate=one.certificate)
            )
            for protocol, one in zip(Protocol, bundles, strict=False)
        )
    )


def store(folder: Path, *mentioned: str) -> Certificates:
    return Certificates(
        folder / "certificates", group=None, mentioned=lambda name: name in mentioned
    )


def test_the_same_content_has_the_same_name_however_it_is_written() -> None:
    text = pem("a.example")
    one = Bundle.parse(text)
    key, _, certificates = text.partition("-----BEGIN CERT")
    untidy = f"Subject: a\n\n-----BEGIN CERT{certificates}\n\nkey follows\n{key}"
    assert Bundle.parse(untidy.replace("\n", "\r\n")) == one
    assert "\n\n" not in one.pem
    der = ssl.PEM_cert_to_DER_cert(one.pem[: one.pem.index("-----END") + 26])
    assert one.certificate.leaf == hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
    assert bundle("a.example").certificate != one.certificate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "0 readable private"),
        ("-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", "base64"),
        (pem("a.example") + pem("b.example"), "2 readable private"),
        (pem("a.example").replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "0 readable private"),
    ],
    ids=["nothing", "no key", "no base64", "two keys", "encrypted"],
)
def test_what_is_not_one_certificate_with_one_key_is_refused_without_a_quotation(
    text: str, words: str
) -> None:
    with pytest.raises(BadCertificate, match=words) as refused:
        Bundle.parse(text)
    assert "AAA" not in str(refused.value)


def test_a_key_is_for_the_owner_of_the_process_alone(tmp_path: Path) -> None:
    kept, one = store(tmp_path), bundle("a.example")
    with kept.kept(naming(one), [one]):
        assert kept.read(one.certificate) == one.pem
        for path in (kept.directory, kept.path(one.certificate)):
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    assert list(kept.directory.iterdir()) == [kept.path(one.certificate)]


def test_what_is_named_or_about_to_be_is_kept_and_nothing_else(tmp_path: Path) -> None:
    named, coming, gone, foreign = (bundle("a.example") for _ in range(4))
    kept = store(tmp_path, named.certificate.name)
    for one in (named, gone):
        with kept.kept(naming(one), [one, foreign]):
            pass
    with kept.kept(naming(coming), [coming]):
        kept.sweep()
        left = {path.stem for path in kept.directory.iterdir()}
        assert left == {one.certificate.name for one in (named, coming)}
    kept.sweep()
    assert [path.stem for path in kept.directory.iterdir()] == [named.certificate.name]


def test_one_that_is_named_and_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    one = bundle("a.example")
    with pytest.raises(CertificateMissing, match=one.certificate.name):
        store(tmp_path).kept(naming(one)).__enter__()
    with pytest.raises(CertificateMissing):
        store(tmp_path).read(one.certificate)


def test_a_key_of_another_certificate_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    first, second = pem("a.example"), pem("a.example")
    key, _, _ = first.partition("-----BEGIN CERT")
    _, _, certificates = second.partition("-----BEGIN CERT")
    mixed = Bundle.parse(f"{key}-----BEGIN CERT{certificates}")
    kept = store(tmp_path)
    with pytest.raises(BadCertificate, match="KEY_VALUES_MISMATCH"):
        kept.kept(naming(mixed), [mixed]).__enter__()
    assert list(kept.directory.iterdir()) == []
