"""The authority: what it makes is what TLS accepts, and what it revoked stays revoked."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from libra_common.authority import (
    Authority,
    AuthorityError,
    RefusedCertificate,
    Role,
    UnknownSerial,
    Usage,
)
from libra_common.roles import Identity, NoIdentity, identity_of

_NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", name="Test")


def _leaf(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem.encode())[0]


def _uris(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return found.value.get_values_for_type(x509.UniformResourceIdentifier)


def test_a_certificate_is_verified_by_the_rules_of_the_web(authority: Authority) -> None:
    # Given a server's certificate
    made = authority.issue(name="gate", dns=["gate.example"], addresses=["::1"], usage="server")
    # When another library verifies it, by RFC 5280 and its own stricter rules
    trusted = Store([x509.load_pem_x509_certificate(authority.certificate.encode())])
    verifier = PolicyBuilder().store(trusted)
    chain = verifier.build_server_verifier(x509.DNSName("gate.example")).verify(
        _leaf(made.certificate), []
    )
    # Then the chain is of two, and another name is refused
    assert len(chain) == 2
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_server_verifier(x509.DNSName("other.example")).verify(
            _leaf(made.certificate), []
        )


def test_a_certificate_has_what_was_asked_for(authority: Authority) -> None:
    made = authority.issue(
        name="web-1", role="node", dns=["A.example"], addresses=["192.0.2.1"], days=30, usage="both"
    )
    leaf = _leaf(made.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("192.0.2.1")]
    assert _uris(leaf) == ["libra:node:web-1"]
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert leaf.not_valid_after_utc == made.not_after
    left = made.not_after - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=29.9) < left <= datetime.timedelta(days=30)
    assert made.certificate.endswith(authority.certificate)


def test_a_clients_certificate_is_none_of_a_server(authority: Authority) -> None:
    leaf = _leaf(authority.issue(name="web-1", role=Role.NODE).certificate)
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_key_belongs_to_its_owner_alone_and_is_shown_by_no_repr(authority: Authority) -> None:
    made = authority.issue(name="web-1", role=Role.NODE)
    assert (authority.folder / "ca.key").stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(made)
    assert not [
        path
        for path in authority.folder.rglob("*")
        if path.is_file() and made.key in path.read_text()
    ]


def test_what_is_revoked_is_on_the_signed_list_for_good(authority: Authority) -> None:
    # Given two certificates
    good, bad = (authority.issue(name="web-1", role=Role.NODE) for _ in range(2))
    # When one is revoked, twice, in another spelling, and the authority is opened again
    authority.revoke(bad.serial)
    Authority.open(authority.folder).revoke("00:" + bad.serial.upper())
    again = Authority.open(authority.folder)
    # Then it alone is on the list, which the authority signed
    listed = x509.load_pem_x509_crl(again.crl().encode())
    assert [f"{one.serial_number:x}" for one in listed] == [bad.serial]
    assert listed.is_signature_valid(_leaf(authority.certificate).public_key())  # type: ignore[arg-type]
    assert {one.serial: bool(one.revoked) for one in again.issued()} == {
        good.serial: False,
        bad.serial: True,
    }


def test_a_list_that_a_crash_kept_back_is_published_by_the_next_call(authority: Authority) -> None:
    made = authority.issue(name="web-1")
    before = (authority.folder / "crl.pem").read_bytes()
    authority.revoke(made.serial)
    (authority.folder / "crl.pem").write_bytes(before)
    authority.revoke(made.serial)
    listed = x509.load_pem_x509_crl(authority.crl().encode())
    assert [f"{one.serial_number:x}" for one in listed] == [made.serial]


def test_each_list_has_a_higher_number_than_the_one_before(authority: Authority) -> None:
    numbers = []
    for _ in range(3):
        listed = x509.load_pem_x509_crl(authority.crl().encode())
        numbers.append(listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
        authority.revoke(authority.issue(name="web-1").serial)
    assert numbers == sorted(set(numbers))


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", days=10)
    assert authority.issue(name="web-1", days=365).not_after == authority.not_after


@pytest.mark.parametrize("serial", ["ab12", "", "../ca", "zz", "../../etc/passwd", "ca", "0"])
def test_a_serial_that_was_never_given_is_refused(authority: Authority, serial: str) -> None:
    with pytest.raises(UnknownSerial):
        authority.revoke(serial)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a/b", "role": "node"}, "slash"),
        ({"name": "libra_pool_mgm", "role": "node"}, "libra_pool_mgm"),
        ({"name": "LIBRA_octavia", "role": "node"}, "LIBRA_octavia"),
        ({"name": "libra_pool_mgm@host", "role": "node"}, "libra_pool_mgm"),
        ({"name": "a", "role": "king"}, "role"),
        ({"name": "a", "usage": "door"}, "usage"),
        ({"name": "a", "usage": "server"}, "DNS name"),
        ({"name": "a", "days": 0}, "days"),
        ({"name": "a", "days": float("nan")}, "days"),
        ({"name": "a", "days": 1e9}, "days"),
        ({"name": "a", "dns": ["bad name"]}, "dns"),
        ({"name": "a", "dns": ["192.0.2.1"]}, "dns"),
        ({"name": "a", "dns": ["ä.example"]}, "dns"),
        ({"name": "a", "addresses": ["web.example"]}, "address"),
        ({"name": "a", "addresses": ["fe80::1%eth0"]}, "address"),
    ],
)
def test_what_no_certificate_can_say_is_refused_by_the_fields_name(
    authority: Authority, asked: dict[str, object], word: str
) -> None:
    with pytest.raises(RefusedCertificate, match=word):
        authority.issue(**asked)  # type: ignore[arg-type]
    assert authority.issued() == ()


def test_an_authority_that_is_there_is_never_replaced(authority: Authority) -> None:
    before = authority.certificate
    with pytest.raises(AuthorityError, match="already"):
        Authority.create(authority.folder)
    assert Authority.open(authority.folder).certificate == before


def test_what_a_crash_left_of_a_new_authority_does_no_harm(tmp_path: Path) -> None:
    # Given a directory in which only the key came to be
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "ca.key").write_text("half")
    (folder / "ca.key.new").write_text("half")
    # Then there is none, and one can be made
    with pytest.raises(AuthorityError, match=r"ca\.pem"):
        Authority.open(folder)
    Authority.create(folder).issue(name="web-1")


@pytest.mark.parametrize("name", ["ca.pem", "ca.key", "revoked.json"])
@pytest.mark.parametrize("text", ["", "garbage", "{}", '{"schema": 99}', None])
def test_a_damaged_file_is_named(authority: Authority, name: str, text: str | None) -> None:
    path = authority.folder / name
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(AuthorityError, match=name):
        Authority.open(authority.folder).issued()


def test_a_key_that_others_can_read_or_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    key = authority.folder / "ca.key"
    key.chmod(0o640)
    with pytest.raises(AuthorityError, match="others"):
        Authority.open(authority.folder)
    other = Authority.create(tmp_path / "other")
    key.chmod(0o600)
    key.write_bytes((other.folder / "ca.key").read_bytes())
    with pytest.raises(AuthorityError, match="not the key"):
        Authority.open(authority.folder)


_REVOKER = """
import sys
from pathlib import Path
from libra_common.authority import Authority

authority = Authority.open(Path(sys.argv[1]))
for number in range(4):
    serial = authority.issue(name=f"web-{number}", role="node").serial
    authority.revoke(serial)
    print(serial)
"""


def test_processes_at_once_lose_none_of_their_revocations(authority: Authority) -> None:
    # When six processes each make and revoke four certificates
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _REVOKER, str(authority.folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    serials = [serial for one in running for serial in one.communicate(timeout=60)[0].split()]
    # Then each of them is on the one list
    listed = x509.load_pem_x509_crl(authority.crl().encode())
    assert len(set(serials)) == 24
    assert {f"{one.serial_number:x}" for one in listed} == set(serials)


@settings(max_examples=60, deadline=None)
@given(name=_NAMES, role=st.sampled_from(Role))
def test_role_and_name_come_back_from_a_certificate_as_they_were_given(
    tmp_path_factory: pytest.TempPathFactory, name: str, role: Role
) -> None:
    authority = _shared(tmp_path_factory)
    try:
        made = authority.issue(name=name, role=role)
    except RefusedCertificate:
        assert role is Role.NODE
        assert "/" in name or name.lower().startswith("libra_")
        return
    assert identity_of(_uris(_leaf(made.certificate))) == Identity(role, name)


_SHARED: list[Authority] = []


def _shared(factory: pytest.TempPathFactory) -> Authority:
    if not _SHARED:
        _SHARED.append(Authority.create(factory.mktemp("shared") / "ca"))
    return _SHARED[0]


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40).map(lambda text: f"libra:{text}"),
            st.builds(lambda role, text: f"libra:{role}:{text}", st.sampled_from(Role), st.text()),
            st.text(max_size=40),
        ),
        max_size=3,
    )
)
def test_a_certificate_names_exactly_one_holder_or_none(uris: list[str]) -> None:
    try:
        found = identity_of(uris)
    except NoIdentity:
        return
    assert [uri for uri in uris if uri.lower().startswith("libra:")] == [found.uri]


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["https://example"],
        ["libra:node:a", "libra:operator:a"],
        ["libra:node:a", "LIBRA:node:b"],
        ["LIBRA:node:a"],
        ["libra:NODE:a"],
        ["libra:node"],
        ["libra:node:"],
        ["libra:node:%61"],
        ["libra:node:a%2Fb"],
        ["libra:node:a%00"],
        ["libra:node:%ff"],
        ["libra:node:libra_pool_mgm"],
    ],
)
def test_a_role_that_could_be_read_in_two_ways_is_none(uris: list[str]) -> None:
    with pytest.raises(NoIdentity):
        identity_of(uris)


def test_usages_are_told_apart_in_the_list(authority: Authority) -> None:
    for usage in Usage:
        authority.issue(name="a", dns=["a.example"], usage=usage)
    assert {one.usage for one in authority.issued()} == set(Usage)


@pytest.mark.parametrize("module", ["libra_worker.main", "libra_common.jobs.proof"])
def test_a_plain_node_needs_nothing_of_it(module: str) -> None:
    script = f"import sys, {module}; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
