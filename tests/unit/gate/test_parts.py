"""Small parts of the gate: rates, patience, trust, TLS in memory, counters."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from libra_common.authority import Authority
from libra_common.errors import SettingsError
from libra_common.roles import Identity, NoIdentity, Role
from libra_gate.counters import Counters
from libra_gate.limits import MOST_FUNCTIONS, Shares
from libra_gate.patience import Patience
from libra_gate.tls import TlsStream, server_context
from libra_gate.trust import peer_of, read_trust

NOW = datetime.datetime.now(datetime.UTC)


@given(gaps=st.lists(st.floats(0, 3), min_size=1, max_size=300))
def test_who_waits_as_told_never_sends_more_than_the_rate(gaps: list[float]) -> None:
    # Given a sender that waits as long as it is told, and longer
    shares, now, sent = Shares(most=1, rate=10.0), 0.0, []
    for gap in gaps:
        now += gap
        wait = shares.take("a", now)
        sent.append(now)
        now += wait
    # Then no stretch of time holds more than the rate, and a second's worth at once
    for at, begin in enumerate(sent):
        for further, end in enumerate(sent[at:]):
            assert further + 1 <= 10 * (end - begin) + 10 + 1 + 1e-6


def test_names_are_counted_apart_and_forgotten_when_they_are_gone() -> None:
    shares = Shares(most=2, rate=1.0)
    assert [shares.enter("a"), shares.enter("a"), shares.enter("a"), shares.enter("b")] == [
        *(True, True, False, True),
    ]
    assert shares.take("a", 0.0) == 0
    assert shares.take("a", 0.0) == 1
    assert shares.take("b", 0.0) == 0
    shares.leave("a")
    assert shares.enter("a")
    for name in ("a", "a", "b"):
        shares.leave(name)
    assert shares.enter("a")


def test_a_name_takes_jobs_of_some_functions_and_no_more_even_if_it_comes_again() -> None:
    shares = Shares(most=2, rate=1.0)
    names = [b"web-1/%d" % number for number in range(MOST_FUNCTIONS + 10)]
    shares.enter("a")
    assert [shares.may_take("a", name) for name in names].count(True) == MOST_FUNCTIONS
    shares.leave("a")
    shares.enter("a")
    assert shares.may_take("a", names[0])
    assert not shares.may_take("a", names[-1])
    assert shares.may_take("b", names[-1])


def test_patience_is_for_the_first_packet_the_rest_of_one_and_reading() -> None:
    # Given nothing was said
    one = Patience(started=100.0, first=5, packet=10)
    assert not one.is_over(105.0)
    assert one.is_over(105.1)
    # Between two packets there is all the time in the world
    one.owes(1, None, 105.0)
    assert not one.is_over(1e9)
    # Within one there is not; pieces of it do not begin anew
    one.owes(2, 65536, 200.0)
    one.owes(2, 10, 210.0)
    assert not one.is_over(211.0)
    assert one.is_over(211.1)
    one.owes(3, 1, 212.0)
    assert not one.is_over(221.9)
    # Nor for who does not read
    one.owes(3, None, 213.0)
    one.stuck(300.0)
    assert one.is_over(310.1)
    one.unstuck()
    assert not one.is_over(310.1)


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca")


def _der(certificate: str) -> bytes:
    """The first certificate of a PEM text."""
    first = x509.load_pem_x509_certificates(certificate.encode())[0]
    return first.public_bytes(serialization.Encoding.DER)


def test_the_holder_is_read_from_the_certificate(authority: Authority) -> None:
    made = authority.issue(name="web-1", role="node")
    peer = peer_of(_der(made.certificate))
    assert peer.identity == Identity(Role.NODE, "web-1")
    assert (f"{peer.serial:x}", peer.not_after) == (made.serial, made.not_after)
    for certificate in (authority.certificate, authority.issue(name="x").certificate):
        with pytest.raises(NoIdentity):
            peer_of(_der(certificate))
    with pytest.raises(NoIdentity):
        peer_of(b"garbage")


def test_whom_nothing_speaks_against_is_trusted(authority: Authority, tmp_path: Path) -> None:
    good, bad = (authority.issue(name="web-1", role="node") for _ in range(2))
    other = Authority.create(tmp_path / "other").issue(name="web-1", role="node")
    authority.revoke(bad.serial)
    folder = authority.folder
    trust = read_trust(ca=folder / "ca.pem", crl=folder / "crl.pem")
    assert trust.fault_of(peer_of(_der(good.certificate)), NOW) == ""
    assert "revoked" in trust.fault_of(peer_of(_der(bad.certificate)), NOW)
    assert "authority" in trust.fault_of(peer_of(_der(other.certificate)), NOW)
    assert "ended" in trust.fault_of(
        peer_of(_der(good.certificate)), NOW + datetime.timedelta(days=366)
    )
    # Without a list nobody is revoked
    trust = read_trust(ca=folder / "ca.pem", crl=None)
    assert trust.fault_of(peer_of(_der(bad.certificate)), NOW) == ""


def test_a_list_is_believed_for_its_own_authority_alone(
    authority: Authority, tmp_path: Path
) -> None:
    # Given two authorities of one name, and the list of one
    other = Authority.create(tmp_path / "other")
    both = tmp_path / "both.pem"
    both.write_text(authority.certificate + other.certificate)
    made = authority.issue(name="web-1", role="node")
    authority.revoke(made.serial)
    # Then a list of the other alone does not hold for it, and that of both does
    peer = peer_of(_der(made.certificate))
    assert read_trust(ca=both, crl=other.folder / "crl.pem").fault_of(peer, NOW) == ""
    lists = tmp_path / "lists.pem"
    lists.write_text(other.crl() + authority.crl())
    assert "revoked" in read_trust(ca=both, crl=lists).fault_of(peer, NOW)
    # And where an authority is not trusted, its list is no list
    with pytest.raises(SettingsError, match="of no authority"):
        read_trust(ca=other.folder / "ca.pem", crl=authority.folder / "crl.pem")


def _server(authority: Authority, folder: Path) -> ssl.SSLContext:
    made = authority.issue(name="gate", dns=["gate.example"], usage="server")
    (folder / "gate.key").write_text(made.key)
    (folder / "gate.crt").write_text(made.certificate)
    ca = authority.folder / "ca.pem"
    return server_context(key=folder / "gate.key", cert=folder / "gate.crt", ca=ca)


@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_in_memory_carries_what_is_said_in_pieces_of_any_size(
    authority: Authority, tmp_path: Path, size: int, version: ssl.TLSVersion
) -> None:
    # Given both ends in memory
    stream = TlsStream(_server(authority, tmp_path))
    made = authority.issue(name="web-1", role="node")
    (tmp_path / "c.pem").write_text(made.certificate + made.key)
    context = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    context.load_cert_chain(tmp_path / "c.pem")
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="gate.example")
    said = b""

    def exchange() -> bytes:
        found = b""
        data = outgoing.read()
        for at in range(0, len(data), size):
            found += stream.receive(data[at : at + size])
        incoming.write(stream.outgoing())
        return found

    # When they shake hands
    for _ in range(5):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            said += exchange()
    said += exchange()
    assert stream.shaken
    assert peer_of(stream.certificate()).identity == Identity(Role.NODE, "web-1")
    # Then each hears what the other says
    text = bytes(range(256)) * 300
    for at in range(0, len(text), 10_000):
        client.write(text[at : at + 10_000])
    said += exchange()
    assert said == text
    stream.send(text)
    exchange()
    heard = b""
    while len(heard) < len(text):
        heard += client.read(65536)
    assert heard == text
    # And the end
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    exchange()
    assert stream.ended


def test_counters_are_copied_for_whoever_asks() -> None:
    counters = Counters()
    counters.packets["node"] += 2
    copy = counters.snapshot()
    counters.packets["node"] += 1
    counters.accepted += 1
    assert copy["packets"] == {"node": 2}
    assert copy["accepted"] == 0
