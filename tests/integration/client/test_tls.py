"""The command through mutual TLS: never without it once it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from libra_client.cli.exits import Exit
from libra_common.jobs import JobWorker, parse_server
from tests.integration.client.conftest import Libra
from tests.support.gearmand import Gearmand
from tests.support.tlsfront import TlsFront
from tests.support.wait import until


@pytest.fixture
def answering(gearmand: Gearmand) -> Iterator[str]:
    """The name of something that answers PASS."""
    worker = JobWorker(
        name="polite",
        slots=1,
        handler=lambda _: b'{"hpcs_response": "PASS", "version": "1.0"}',
        on_oversize=lambda size: str(size).encode(),
        servers=[parse_server(gearmand.address)],
    )
    worker.start()
    until(lambda: worker.registered, "the node is registered")
    yield "polite"
    worker.stop(5)


@pytest.fixture
def papers(tmp_path: Path) -> dict[str, Path]:
    """Key, certificate and authority of a client, and what a server needs."""
    authority = trustme.CA()
    client, server = authority.issue_cert("api.example"), authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / f"{name}.pem" for name in ("key", "cert", "ca", "server")}
    files["key"].write_bytes(client.private_key_pem.bytes())
    files["cert"].write_bytes(client.cert_chain_pems[0].bytes())
    files["ca"].write_bytes(authority.cert_pem.bytes())
    files["server"].write_bytes(server.private_key_and_cert_chain_pem.bytes())
    return files


@pytest.fixture
def front(gearmand: Gearmand, papers: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """The address of a gearmand behind TLS."""
    with TlsFront(
        folder=tmp_path, target=gearmand.port, pem=papers["server"], ca=papers["ca"], tls="TLSv1.3"
    ) as made:
        yield f"127.0.0.1:{made.port}"


def options(papers: dict[str, Path]) -> list[str]:
    return [word for name in ("key", "cert", "ca") for word in (f"--ssl-{name}", str(papers[name]))]


def test_a_node_behind_tls_is_reached_by_options_and_by_settings(
    libra: Libra, answering: str, front: str, papers: dict[str, Path], tmp_path: Path
) -> None:
    # Given a gearmand that demands a certificate / When ours is named by options
    ran = libra("discover", answering, "--server", front, *options(papers))
    # Then the node answers
    assert (ran.code, ran.out) == (Exit.OK, "version  1.0\n"), ran.err
    # And it does when a settings file names all
    config = tmp_path / "tls.cfg"
    lines = [f"ssl_{name} = {papers[name]}" for name in ("key", "cert", "ca")]
    config.write_text("\n".join(["[gearman]", f"servers = {front}", *lines, ""]))
    assert libra("discover", answering, config=config).code == Exit.OK
    # And who serves a name is asked through TLS too
    ran = libra("discover", "nobody", "--timeout", "0.5", config=config)
    assert ran.code == Exit.NO_ANSWER
    assert "no node serves that name" in ran.err


def test_asked_for_tls_the_command_never_speaks_plain_text(
    libra: Libra, answering: str, gearmand: Gearmand, papers: dict[str, Path]
) -> None:
    # Given a gearmand without TLS / When TLS is asked for / Then there is no answer
    ran = libra("discover", answering, "--server", gearmand.address, *options(papers))
    assert (ran.code, ran.out) == (Exit.NO_ANSWER, "")


def test_tls_files_that_are_of_no_use_are_named_and_nothing_is_sent(
    libra: Libra, answering: str, papers: dict[str, Path]
) -> None:
    # Given a certificate file that is none / When it is used / Then it is exit code 2, by name
    papers["cert"].write_text("no certificate")
    ran = libra("discover", answering, *options(papers))
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert str(papers["cert"]) in ran.err
