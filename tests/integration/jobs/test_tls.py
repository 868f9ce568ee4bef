"""Mutual TLS through a front before gearmand: the right certificate in, all others out."""

from __future__ import annotations

import copy
import os
import random
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from libra_common.jobs import JobClient, NoServer, TlsFiles, parse_server, probe, tls_from
from tests.integration.jobs.conftest import MakeWorker
from tests.support.gearmand import Gearmand
from tests.support.tlsfront import TlsFront
from tests.support.wait import until

VERSIONS = ("TLSv1.2", "TLSv1.3")


class Certificates:
    """An authority, a server that it signed, and those who come with papers of any kind."""

    def __init__(self, folder: Path, server_name: str = "127.0.0.1") -> None:
        self._folder = folder
        self.authority = trustme.CA()
        self.ca = self._write("ca.pem", self.authority.cert_pem.bytes())
        server = self.authority.issue_cert(server_name)
        self.server = self._write("server.pem", server.private_key_and_cert_chain_pem.bytes())

    def holder(self, name: str, authority: trustme.CA | None = None) -> TlsFiles:
        leaf = (authority or self.authority).issue_cert(f"{name}.example")
        tls = tls_from(
            str(self._write(f"{name}.key", leaf.private_key_pem.bytes())),
            str(self._write(f"{name}.crt", leaf.cert_chain_pems[0].bytes())),
            str(self.ca),
        )
        assert tls is not None
        return tls

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture(params=VERSIONS)
def front(
    request: pytest.FixtureRequest, gearmand: Gearmand, certificates: Certificates, tmp_path: Path
) -> Iterator[TlsFront]:
    with TlsFront(
        folder=tmp_path,
        target=gearmand.port,
        pem=certificates.server,
        ca=certificates.ca,
        tls=request.param,
    ) as made:
        yield made


@pytest.mark.parametrize("size", [100, 20_000, 2**20, 4 * 2**20])
def test_messages_of_any_size_pass_both_ways(
    front: TlsFront, certificates: Certificates, make_worker: MakeWorker, size: int
) -> None:
    tls = certificates.holder("node")
    address = f"127.0.0.1:{front.port}"
    make_worker(address, tls=tls, handler=lambda job: job.data[::-1])
    data = random.Random(size).randbytes(size)
    client = JobClient(servers=[parse_server(address)], tls=certificates.holder("api"))
    assert client.submit("node", data, timeout=60) == data[::-1]
    assert probe(parse_server(address), tls).startswith("1.")


def test_an_idle_tls_connection_does_not_spin(
    front: TlsFront, certificates: Certificates, make_worker: MakeWorker
) -> None:
    # Given registered slots, and session tickets that nobody asked for
    worker = make_worker(f"127.0.0.1:{front.port}", tls=certificates.holder("node"), slots=4)
    until(lambda: worker.registered, "registered")
    # Then two idle seconds cost next to nothing (one spinning slot would cost all of it)
    before = sum(os.times()[:2])
    time.sleep(2)
    assert sum(os.times()[:2]) - before < 0.3


@pytest.mark.parametrize("intruder", ["no certificate", "a foreign authority", "plain text"])
def test_who_has_no_right_certificate_stays_out(
    front: TlsFront, certificates: Certificates, make_worker: MakeWorker, intruder: str
) -> None:
    address = f"127.0.0.1:{front.port}"
    tls: TlsFiles | None = None
    if intruder == "a foreign authority":
        tls = certificates.holder("stranger", trustme.CA())
    elif intruder == "no certificate":
        tls = without_certificate(certificates.holder("x"))
    worker = make_worker(address, tls=tls)
    until(lambda: worker.status().lanes[0].losses >= 2, "refused twice")
    assert worker.registered == ()
    with pytest.raises(NoServer):
        JobClient(servers=[parse_server(address)], tls=tls).submit("node", b"", timeout=10)
    with pytest.raises(NoServer):
        probe(parse_server(address), tls)


def without_certificate(tls: TlsFiles) -> TlsFiles:
    """A client that trusts the right authority and shows nothing itself."""
    bare = copy.copy(tls)
    object.__setattr__(bare, "context", ssl.create_default_context(cafile=str(tls.ca)))
    return bare


@pytest.mark.parametrize("flaw", ["another name", "a foreign authority"])
def test_a_server_that_is_not_the_one_we_want_is_told_nothing(
    gearmand: Gearmand, make_worker: MakeWorker, tmp_path: Path, flaw: str
) -> None:
    # Given a front whose certificate is for another name, or from an authority that is not ours
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs = Certificates(
        tmp_path / "theirs", "gear.example" if flaw == "another name" else "127.0.0.1"
    )
    ours = theirs if flaw == "another name" else Certificates(tmp_path / "ours")
    with TlsFront(
        folder=tmp_path, target=gearmand.port, pem=theirs.server, ca=theirs.ca, tls="TLSv1.3"
    ) as front:
        address = f"127.0.0.1:{front.port}"
        tls = ours.holder("node")
        # When a worker and a caller come
        worker = make_worker(address, tls=tls)
        until(lambda: worker.status().lanes[0].losses >= 2, "refused twice")
        # Then they say why, and nothing reached gearmand
        assert "certificate verify failed" in str(worker.status().lanes[0].last_error)
        with pytest.raises(NoServer, match="certificate verify failed"):
            JobClient(servers=[parse_server(address)], tls=tls).submit("node", b"s", timeout=10)


def test_tls_asked_of_a_plain_port_fails_instead_of_going_on_in_plain_text(
    gearmand: Gearmand, certificates: Certificates, make_worker: MakeWorker
) -> None:
    # Given Debian's gearmand, whose --ssl is silently ignored
    with Gearmand("127.0.0.1", None, "--ssl") as pretender:
        worker = make_worker(pretender, tls=certificates.holder("node"), connect_timeout=1.0)
        until(lambda: worker.status().lanes[0].losses >= 1, "refused")
        assert worker.registered == ()
        with pytest.raises(NoServer):
            probe(parse_server(pretender.address), certificates.holder("node"), 2.0)


def test_files_that_are_replaced_do_not_disturb_those_who_have_read_the_old_ones(
    gearmand: Gearmand, certificates: Certificates, make_worker: MakeWorker, tmp_path: Path
) -> None:
    # Given a worker with good certificates
    with TlsFront(
        folder=tmp_path,
        target=gearmand.port,
        pem=certificates.server,
        ca=certificates.ca,
        tls="TLSv1.3",
    ) as front:
        tls = certificates.holder("node")
        worker = make_worker(f"127.0.0.1:{front.port}", tls=tls)
        until(lambda: worker.registered, "registered")
        # When a broken file takes a good one's place and the server is away for a moment
        tls.cert.write_text("half a certific")
        gearmand.kill()
        until(lambda: not worker.registered, "the loss is noticed")
        gearmand.start()
        # Then it is back with what it has read
        until(lambda: worker.registered, "registered again")
