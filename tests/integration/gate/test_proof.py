"""--check-config says whether gearmand's port speaks TLS and both sides verify, by trying it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libra_common.exits import Exit
from libra_common.jobs import GearmanServer, NoServer, TlsFiles
from libra_common.jobs.proof import prove
from tests.integration.gate.conftest import MakeGate
from tests.support.gate import Gate, Papers
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.ports import free_port
from tests.support.wait import until

_DAEMONS = {"libra_worker.main": "node", "libra_pool_mgm.main": "pool"}


class Front:
    """HAProxy that ends TLS in front of a gearmand, and verifies its clients as it is told."""

    def __init__(self, papers: Papers, target: Gearmand, verify: str) -> None:
        self.port = free_port()
        key, cert = papers.folder / "gate.key", papers.folder / "gate.crt"
        papers.server()
        pem = papers.folder / "front.pem"
        pem.write_text(cert.read_text() + key.read_text())
        self._config = papers.folder / "front.cfg"
        self._config.write_text(
            f"defaults\n mode tcp\n timeout connect 5s\n timeout client 9s\n timeout server 9s\n"
            f"listen front\n bind 127.0.0.1:{self.port} ssl crt {pem} {verify}\n"
            f" server one {target.address}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Front:
        command = [program("haproxy"), "-db", "-q", "-f", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def _check(
    daemon: str, papers: Papers, tls: TlsFiles, *servers: str
) -> subprocess.CompletedProcess[str]:
    config = papers.folder / "libra.cfg"
    config.write_text(
        f"[gearman]\nservers = {', '.join(servers)}\nssl_key = {tls.key}\nssl_cert = {tls.cert}\n"
        f"ssl_ca = {tls.ca}\n[mgm]\ncloud = tests.support.file_cloud\n"
    )
    return subprocess.run(
        [sys.executable, "-m", daemon, f"--config-file={config}", "--check-config"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"LIBRA_FILE_CLOUD": str(papers.folder)},
    )


@pytest.mark.parametrize(("daemon", "role"), _DAEMONS.items())
def test_behind_the_gate_all_is_proved(gate: Gate, papers: Papers, daemon: str, role: str) -> None:
    checked = _check(daemon, papers, papers.holder("web-1", role), str(gate.address))
    assert (checked.returncode, checked.stderr) == (Exit.OK, "")


@pytest.mark.parametrize(("daemon", "role"), _DAEMONS.items())
def test_a_gearmand_that_was_told_to_speak_tls_and_does_not_is_found_out(
    papers: Papers, daemon: str, role: str
) -> None:
    # Given Debian's gearmand with every option of TLS
    key, cert = papers.server()
    options = ("--ssl", f"--ssl-ca-file={papers.ca}", f"--ssl-certificate={cert}")
    with Gearmand("127.0.0.1", None, *options, f"--ssl-key={key}") as gearmand:
        checked = _check(daemon, papers, papers.holder("web-1", role), gearmand.address)
    assert checked.returncode == Exit.CONFIG
    assert f"servers = {gearmand.address}: answers in plain text" in checked.stderr


@pytest.mark.parametrize(
    ("verify", "fault"),
    [
        ("verify none", "lets in whoever has no certificate"),
        ("ca-file {ca} verify optional", "lets in whoever has no certificate"),
        (
            "ca-file {ca} verify required crt-ignore-err all ca-ignore-err all",
            "lets in whoever signed a certificate himself",
        ),
    ],
)
def test_a_server_that_does_not_verify_its_clients_is_found_out(
    papers: Papers, gearmand: Gearmand, verify: str, fault: str
) -> None:
    with Front(papers, gearmand, verify.format(ca=papers.ca)) as front:
        tls = papers.holder("web-1", "node")
        address = GearmanServer("127.0.0.1", front.port)
        until(lambda: _reached(address, tls), "the front listens")
        found = prove(address, tls)
        assert fault in found
        assert "does not answer us" not in str(found)


def _reached(address: GearmanServer, tls: TlsFiles) -> bool:
    try:
        prove(address, tls)
    except NoServer:
        return False
    return True


def test_a_server_that_we_must_not_trust_is_a_fault(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers, tmp_path: Path
) -> None:
    gate = make_gate(gearmand)
    (tmp_path / "other").mkdir()
    other = Papers(tmp_path / "other")
    node = papers.holder("web-1", "node")
    # Another authority's, by our settings
    found = prove(gate.address, TlsFiles(node.key, node.cert, other.ca))
    assert "certificate verify failed" in found[0]
    # Ours, of a role that is none
    found = prove(gate.address, papers.holder("x", None))
    assert "does not answer us by TLS" in found[0]


def test_a_server_that_is_away_is_no_fault_and_is_told(gate: Gate, papers: Papers) -> None:
    away = f"127.0.0.1:{free_port()}"
    tls = papers.holder("web-1", "node")
    checked = _check("libra_worker.main", papers, tls, str(gate.address), away)
    assert checked.returncode == Exit.OK
    assert f"nothing is proved of its TLS now: gearman server {away}" in checked.stderr
