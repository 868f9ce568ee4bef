"""The gate's own life: settings that cannot work, reloads, gearmands that go, stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from libra_common.exits import Exit
from libra_common.jobs import JobClient, NoServer, TlsFiles
from tests.integration.gate.conftest import MakeGate, MakeWorker
from tests.support.gate import Gate, Papers, Raw, ended_already
from tests.support.gearmand import Gearmand
from tests.support.ports import free_port
from tests.support.wait import until


@pytest.fixture(name="api")
def _api(papers: Papers) -> TlsFiles:
    return papers.holder("api", "controller")


def _serial(gate: Gate, tls: TlsFiles) -> str:
    """Which certificate the gate shows."""
    with Raw(gate, tls) as raw:
        assert isinstance(raw.socket, ssl.SSLSocket)
        return (raw.socket.getpeercert() or {})["serialNumber"].lower().lstrip("0")  # type: ignore[union-attr]


# Settings


def test_check_config_of_right_settings_ends_with_0(papers: Papers) -> None:
    checked = Gate(papers, "127.0.0.1:1").check()
    assert (checked.returncode, checked.stderr) == (Exit.OK, "")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ssl_key": ""}, "[gate] ssl_key: must be set"),
        ({"ssl_key": "", "ssl_cert": "", "ssl_ca": ""}, "ssl_key, ssl_cert, ssl_ca: must be set"),
        ({"ssl_key": "/nowhere"}, "[gate] ssl_key = '/nowhere': cannot be read"),
        ({"ssl_ca": "/dev/null"}, "[gate] ssl_ca = '/dev/null': no usable certificate"),
        ({"ssl_cert": "{ca}"}, "cannot be used together"),
        ({"crl": "/nowhere"}, "[gate] crl = '/nowhere': cannot be read"),
        ({"crl": "{ca}"}, "there is no list of revoked certificates in it"),
        ({"crl": "{foreign}"}, "is of no authority in ssl_ca"),
        ({"bind": "nonsense:x:y"}, "[gate] bind"),
    ],
)
def test_what_cannot_work_is_named_by_check_config_and_not_started(
    papers: Papers, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = Papers(tmp_path / "foreign").crl
    gate = Gate(papers, "127.0.0.1:1")
    gate.settings |= {
        name: text.format(ca=papers.ca, foreign=foreign) for name, text in changed.items()
    }
    checked = gate.check()
    assert checked.returncode == Exit.CONFIG
    assert words in checked.stderr
    started = subprocess.run(
        gate.command(), capture_output=True, text=True, timeout=60, check=False
    )
    assert started.returncode == Exit.CONFIG
    assert words in started.stderr


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"usage": "client"}, "it is not for servers"),
        (ended_already(), "it ended at"),
    ],
)
def test_a_certificate_that_nobody_will_trust_is_told_of(
    papers: Papers, gearmand: Gearmand, asked: dict[str, Any], words: str
) -> None:
    papers.server(**asked)
    gate = Gate(papers, gearmand)
    until(lambda: words in gate.check().stderr, "it is seen")
    assert gate.check().returncode == Exit.CONFIG
    # It is no reason not to start: what else is there to do, at night
    with gate:
        until(lambda: f"nobody will trust it: {words}" in gate.said, "it is logged")


def test_a_taken_port_is_named(papers: Papers) -> None:
    gate = Gate(papers, "127.0.0.1:1")
    with socket.create_server(("127.0.0.1", gate.port)):
        started = subprocess.run(
            gate.command(), capture_output=True, text=True, timeout=60, check=False
        )
    assert started.returncode == Exit.UNAVAILABLE
    assert f"cannot listen on 127.0.0.1:{gate.port}: Address already in use" in started.stderr


def test_a_second_gate_with_the_same_settings_is_refused(gate: Gate) -> None:
    started = subprocess.run(
        gate.command(), capture_output=True, text=True, timeout=60, check=False
    )
    assert started.returncode == Exit.ALREADY_RUNNING


# Reloads


def test_a_reload_with_a_broken_file_changes_nothing_and_cuts_nobody(
    gate: Gate, papers: Papers, api: TlsFiles
) -> None:
    # Given a connection, and a certificate that was half written
    before = _serial(gate, api)
    with Raw(gate, api) as raw:
        assert raw.ask(b"version").startswith(b"OK")
        good = (papers.folder / "gate.crt").read_bytes()
        for bad in (good[:200], b"", papers.ca.read_bytes()):
            (papers.folder / "gate.crt").write_bytes(bad)
            gate.reload()
            assert "reload refused, the old settings stay in force: [gate] ssl_key" in gate.said
            # Then the old one is shown, and the connection goes on
            assert _serial(gate, api) == before
            assert raw.ask(b"version").startswith(b"OK")
        # When it is right again, the new one is shown, and the connection goes on still
        papers.server()
        gate.reload()
        assert _serial(gate, api) == papers.serials["gate"].lstrip("0") != before
        assert raw.ask(b"version").startswith(b"OK")


def test_an_authority_that_is_trusted_no_more_takes_its_connections_with_it(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers, tmp_path: Path
) -> None:
    # Given a gate that trusts two authorities, both with lists
    (tmp_path / "new").mkdir()
    new = Papers(tmp_path / "new", name="New")
    both, lists = tmp_path / "both.pem", tmp_path / "lists.pem"
    both.write_text(papers.authority.certificate + new.authority.certificate)
    lists.write_text(papers.authority.crl() + new.authority.crl())
    gate = make_gate(gearmand, ssl_ca=both, crl=lists)
    old_holder = papers.holder("api", "controller")
    made = new.holder("api", "controller")
    new_holder = TlsFiles(made.key, made.cert, papers.ca)
    with Raw(gate, old_holder) as first, Raw(gate, new_holder) as second:
        assert first.ask(b"version").startswith(b"OK")
        assert second.ask(b"version").startswith(b"OK")
        # When the old one is taken out
        both.write_text(new.authority.certificate)
        lists.write_text(new.authority.crl())
        gate.reload()
        # Then its holders are cut off, and the others go on
        assert first.ended()
        assert second.ask(b"version").startswith(b"OK")


def test_a_list_that_is_damaged_or_gone_leaves_the_old_one_in_force(
    gate: Gate, papers: Papers, api: TlsFiles
) -> None:
    # Given a revoked certificate
    bad = papers.holder("bad", "controller")
    papers.revoke("controller-bad")
    until(lambda: "1 certificates are revoked" in gate.said, "the list is read")
    good = papers.crl.read_bytes()
    # When the list is damaged, is another's, is gone
    for number, text in enumerate((b"garbage", good[: len(good) // 2], None), 1):
        if text is None:
            papers.crl.unlink()
        else:
            papers.crl.write_bytes(text)
        until(partial(_kept, gate, number), "it is seen")
        # Then who was revoked stays out, and others get in
        with Raw(gate, bad) as raw:
            assert not raw.ask(b"version").startswith(b"OK")
        with Raw(gate, api) as raw:
            assert raw.ask(b"version").startswith(b"OK")


def _kept(gate: Gate, times: int) -> bool:
    return gate.said.count("the old list") >= times


# Gearmands


def test_a_gate_without_a_gearmand_waits_for_it(
    make_gate: MakeGate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    # Given a gate whose gearmand is not there
    server = Gearmand()
    gate = make_gate(server.address)
    worker = make_worker(gate, tls=papers.holder("web-1", "node"))
    client = JobClient(servers=[gate.address], tls=api)
    with pytest.raises(NoServer):
        client.submit("web-1", b"ab", timeout=10)
    assert "no gearmand" in gate.said
    # When it comes
    with server:
        # Then all is well by itself
        until(lambda: worker.registered, "the worker is registered")
        assert client.submit("web-1", b"ab", timeout=20) == b"ba"


def test_detached_it_says_whether_a_gearmand_answers(papers: Papers, gearmand: Gearmand) -> None:
    for servers, code in (([gearmand], Exit.OK), (["127.0.0.1:1"], Exit.NOT_READY)):
        gate = Gate(papers, *servers, pid=papers.folder / "detached.pid")
        started = subprocess.run(
            gate.command("--daemon", f"--log-file={papers.folder / 'detached.log'}"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        pid = int((papers.folder / "detached.pid").read_text())
        try:
            assert started.returncode == code, started.stderr
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not (papers.folder / "detached.pid").exists(), "it has left")


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_when_a_gearmand_goes_everybody_meets_at_the_next(
    make_gate: MakeGate, papers: Papers, make_worker: MakeWorker, api: TlsFiles, how: str
) -> None:
    # Given two gearmands behind a gate, and a node that is registered at the first
    with Gearmand() as first, Gearmand() as second:
        gate = make_gate(first, second)
        worker = make_worker(gate, tls=papers.holder("web-1", "node"))
        client = JobClient(servers=[gate.address], tls=api)
        assert client.submit("web-1", b"ab", timeout=20) == b"ba"
        # When the first is gone, or does not answer any more
        if how == "killed":
            first.kill()
        else:
            first.freeze()
        until(lambda: f"{second.address} takes the place of {first.address}" in gate.said, how, 60)
        # Then jobs go through the second
        until(lambda: _answers(client), "jobs are answered again", 60)
        # And the first, when it is back, splits nobody: all stay where they are
        if how == "killed":
            first.start()
        else:
            first.thaw()
        for _ in range(5):
            assert client.submit("web-1", b"ab", timeout=20) == b"ba"
        assert worker.registered
        assert gate.said.count("takes the place") == 1


def _answers(client: JobClient) -> bool:
    try:
        return client.submit("web-1", b"ab", timeout=5) == b"ba"
    except Exception:  # noqa: BLE001 - not yet
        return False


# Stops


def test_a_stop_waits_for_the_answer_under_way_and_lets_nobody_in(
    gate: Gate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    # Given a job that runs
    running, may_end = threading.Event(), threading.Event()

    def slow(job: object) -> bytes:
        running.set()
        may_end.wait(30)
        return b"done"

    make_worker(gate, tls=papers.holder("web-1", "node"), handler=slow, slots=1)
    found: list[bytes] = []
    client = JobClient(servers=[gate.address], tls=api)
    sender = threading.Thread(target=lambda: found.append(client.submit("web-1", b"", timeout=60)))
    sender.start()
    assert running.wait(30)
    # When the gate is told to stop
    assert gate.process is not None
    gate.process.terminate()
    until(lambda: "stopping" in gate.said, "it stops")
    until(lambda: not _takes(gate), "it lets nobody in")
    may_end.set()
    # Then the answer still comes, and then it leaves
    sender.join()
    assert found == [b"done"]
    assert gate.process.wait(60) == Exit.OK


def _takes(gate: Gate) -> bool:
    try:
        socket.create_connection(("127.0.0.1", gate.port), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_stop_does_not_wait_for_ever_and_a_second_signal_not_at_all(
    make_gate: MakeGate, gearmand: Gearmand, papers: Papers, api: TlsFiles
) -> None:
    for signals, code in ((1, Exit.OK), (2, Exit.HURRIED)):
        # Given a job that nobody takes, and a client that waits for it
        gate = make_gate(gearmand, stop_timeout=2 if signals == 1 else 300)
        with Raw(gate, api) as raw:
            raw.send(7, b"nobody", b"%d" % signals, b"x")
            assert raw.receive() is not None
            assert gate.process is not None
            # When the gate is told to stop
            for _ in range(signals):
                gate.process.terminate()
                until(lambda: "stopping" in gate.said, "it stops")  # noqa: B023
                time.sleep(0.2)  # two signals of one kind at once are one
            # Then it leaves
            assert gate.process.wait(60) == code
        (papers.folder / "gate.log").write_text("")


def test_a_gate_that_was_killed_is_started_again(
    gate: Gate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    worker = make_worker(gate, tls=papers.holder("web-1", "node"))
    until(lambda: worker.registered, "the worker is registered")
    assert gate.process is not None
    gate.process.kill()
    gate.process.wait()
    until(lambda: not worker.registered, "the worker notices")
    gate.start()
    until(lambda: worker.registered, "the worker is registered again")
    client = JobClient(servers=[gate.address], tls=api)
    assert client.submit("web-1", b"ab", timeout=20) == b"ba"


def test_several_addresses_are_listened_on_and_any_means_both_families(
    papers: Papers, gearmand: Gearmand
) -> None:
    four, six, both = free_port(), free_port("::1"), free_port()
    bind = f"127.0.0.1:{four}, [::1]:{six}, [::]:{both}"
    gate = Gate(papers, gearmand, bind=bind)
    gate.port = four
    with gate:
        for host, port in (("127.0.0.1", four), ("::1", six), ("127.0.0.1", both), ("::1", both)):
            socket.create_connection((host, port), timeout=5).close()
