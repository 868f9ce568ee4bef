"""Who gets in: the right certificate does, every other one does not, on both sides."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from libra_common.jobs import AdminClient, JobClient, NoServer, TlsFiles, probe
from tests.integration.gate.conftest import MakeGate, MakeWorker
from tests.support.gate import Gate, Papers, Raw, ended_already
from tests.support.gearmand import Gearmand
from tests.support.wait import until

_VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize("version", _VERSIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("size", [0, 100, 20_000, 2**20, 4 * 2**20])
def test_a_job_of_any_size_passes_from_a_controller_to_a_node_and_back(
    gate: Gate, papers: Papers, make_worker: MakeWorker, version: ssl.TLSVersion, size: int
) -> None:
    # Given a node and a controller, with their certificates
    node, api = papers.holder("web-1", "node"), papers.holder("api", "controller")
    for tls in (node, api):
        tls.context.minimum_version = tls.context.maximum_version = version
    make_worker(gate, tls=node)
    # When a job goes through
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    client = JobClient(servers=[gate.address], tls=api)
    # Then its answer comes back
    assert client.submit("web-1", data, timeout=60) == data[::-1]
    assert probe(gate.address, api).startswith("1.")


def _refused(gate: Gate, tls: TlsFiles, *words: str) -> None:
    """Neither a job nor a question nor a registration gets through with these papers."""
    with pytest.raises(NoServer) as refused:
        JobClient(servers=[gate.address], tls=tls).submit("web-1", b"x", timeout=10)
    assert any(word in str(refused.value) for word in words), refused.value
    with pytest.raises(NoServer):
        AdminClient(server=gate.address, tls=tls).version()


def test_without_a_certificate_nobody_gets_in(gate: Gate, papers: Papers) -> None:
    # With TLS 1.3 a client hears of it only after its own handshake
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        _ask_once(gate, ssl.create_default_context(cafile=papers.ca))


def _ask_once(gate: Gate, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as opened,
    ):
        opened.sendall(b"version\n")
        return opened.recv(100)


def test_plain_text_is_not_answered(gate: Gate, papers: Papers) -> None:
    for said in (b"version\n", b"status\n", b"\0REQ\0\0\0\x10\0\0\0\1x"):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as plain:
            plain.sendall(said)
            try:
                answer = plain.recv(1000)
            except ConnectionResetError:
                answer = b""
        assert b"OK" not in answer
        assert not answer.startswith(b"\0RES")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_before_1_2_is_refused(gate: Gate, papers: Papers, version: ssl.TLSVersion) -> None:
    context = papers.holder("api", "controller").context
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="VERSION"):
        _ask_once(gate, context)


def test_a_foreign_authoritys_certificate_is_refused(
    gate: Gate, papers: Papers, tmp_path: Path
) -> None:
    # Given a certificate that says the same, of another authority, of the same name even
    (tmp_path / "other").mkdir()
    other = Papers(tmp_path / "other").holder("api", "controller")
    _refused(gate, TlsFiles(other.key, other.cert, papers.ca), "unknown ca")


def test_an_expired_certificate_is_refused_and_one_that_expires_is_cut_off(
    gate: Gate, papers: Papers
) -> None:
    # Given a connection with a certificate that is about to end
    tls = papers.holder("api", "controller", **ended_already())
    with Raw(gate, tls) as raw:
        assert raw.ask(b"version").startswith(b"OK")
        # Then it is ended with it
        assert raw.ended()
    assert "is cut off: its certificate ended" in gate.said
    # And nobody gets in with it any more
    _refused(gate, tls, "expired")


def test_a_revoked_certificate_is_refused_without_a_restart_and_its_connections_end(
    gate: Gate, papers: Papers, make_worker: MakeWorker
) -> None:
    # Given two controllers with connections, and a job that runs for each
    bad, good = papers.holder("bad", "controller"), papers.holder("good", "controller")
    make_worker(gate, tls=papers.holder("web-1", "node"))
    with Raw(gate, bad) as first, Raw(gate, good) as second:
        assert first.ask(b"version").startswith(b"OK")
        assert second.ask(b"version").startswith(b"OK")
        # When one is revoked
        papers.revoke("controller-bad")
        # Then its connection ends, and the other goes on
        assert first.ended()
        assert second.ask(b"version").startswith(b"OK")
    _refused(gate, bad, "revoked")
    assert JobClient(servers=[gate.address], tls=good).submit("web-1", b"ab", timeout=20) == b"ba"
    assert "certificate was revoked" in gate.said


def test_a_certificate_without_a_role_is_refused(gate: Gate, papers: Papers) -> None:
    _refused(gate, papers.holder("web-1", None), "names no role")


def test_a_servers_certificate_is_none_of_a_client(gate: Gate, papers: Papers) -> None:
    # Given what was stolen from a gate
    key, cert = papers.folder / "gate.key", papers.folder / "gate.crt"
    stolen = TlsFiles(key, cert, papers.ca)
    _refused(gate, stolen, "unsupported certificate")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"addresses": ["127.0.0.2"]}, "IP address mismatch"),
        ({"addresses": (), "dns": ["gate.example"]}, "IP address mismatch"),
        ({"role": "node", "name": "web-9", "usage": "client"}, "purpose|mismatch"),
        (ended_already(), "expired"),
    ],
    ids=["another address", "another name", "a node's", "expired"],
)
def test_a_gate_with_the_wrong_certificate_is_left_alone_by_worker_and_client(
    make_gate: MakeGate,
    gearmand: Gearmand,
    papers: Papers,
    make_worker: MakeWorker,
    asked: dict[str, Any],
    words: str,
) -> None:
    # Given somebody who poses as the gate, with a certificate that the authority made
    papers.server(**asked)
    gate = make_gate(gearmand)
    until(lambda: not _trusted(gate, papers), "its certificate is bad")
    # Then neither side says anything to it
    with pytest.raises(NoServer, match=f"(?i){words}"):
        JobClient(servers=[gate.address], tls=papers.holder("api", "controller")).submit(
            "web-1", b"secret", timeout=10
        )
    worker = make_worker(gate, tls=papers.holder("web-1", "node"))
    until(lambda: all(one.losses for one in worker.status().lanes), "the worker gives up")
    assert not worker.registered


def _trusted(gate: Gate, papers: Papers) -> bool:
    try:
        probe(gate.address, papers.holder("probe", "controller"))
    except NoServer:
        return False
    return True


def test_a_gate_of_a_foreign_authority_is_left_alone(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers
) -> None:
    foreign = trustme.CA().issue_cert("127.0.0.1")
    (papers.folder / "gate.key").write_bytes(foreign.private_key_pem.bytes())
    (papers.folder / "gate.crt").write_bytes(foreign.cert_chain_pems[0].bytes())
    gate = make_gate(gearmand)
    with pytest.raises(NoServer, match="certificate verify failed"):
        JobClient(servers=[gate.address], tls=papers.holder("api", "controller")).submit(
            "web-1", b"secret", timeout=10
        )


def test_worker_client_and_questions_refuse_to_go_on_in_plain_text(
    gearmand: Gearmand, papers: Papers, make_worker: MakeWorker
) -> None:
    # Given TLS that is asked for, and a gearmand that speaks plain text
    address = Gate(papers, gearmand).address.__class__("127.0.0.1", gearmand.port)
    node, api = papers.holder("web-1", "node"), papers.holder("api", "controller")
    worker = make_worker(address, tls=node)
    # Then nothing is registered, no job is taken, and gearmand has seen neither
    until(lambda: all(one.losses for one in worker.status().lanes), "the worker gives up")
    assert not worker.registered
    with pytest.raises(NoServer):
        JobClient(servers=[address], tls=api).submit("web-1", b"secret", timeout=5)
    with pytest.raises(NoServer):
        AdminClient(server=address, tls=api).version()
    assert AdminClient(server=address).status() == ()


def test_a_certificate_that_ends_soon_is_warned_of_once(gate: Gate, papers: Papers) -> None:
    soon, late = (papers.holder(f"api-{n}", "controller", days=n) for n in (6.5, 31))
    for tls in (soon, late, soon):
        with Raw(gate, tls) as raw:
            assert raw.ask(b"version").startswith(b"OK")
    assert gate.said.count("the certificate of controller api-6.5 ends in 6 days") == 1
    assert "api-31 ends" not in gate.said
