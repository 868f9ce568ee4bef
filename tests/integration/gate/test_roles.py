"""What a stolen certificate is good for, against a real gearmand: with our tools and gearman's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from libra_common.jobs import AdminClient, JobClient, NoServer, TlsFiles, parse_server
from libra_gate.packets import Kind
from tests.integration.gate.conftest import MakeWorker
from tests.support.gate import Gate, Papers, Raw, Tunnel
from tests.support.gearmand import Gearmand
from tests.support.wait import until


@pytest.fixture(name="stolen")
def _stolen(papers: Papers) -> TlsFiles:
    """The certificate of node web-2, in the hands of somebody who may send anything by it."""
    return papers.holder("web-2", "node")


@pytest.fixture(name="api")
def _api(papers: Papers) -> TlsFiles:
    return papers.holder("api", "controller")


def _functions(gearmand: Gearmand) -> dict[str, int]:
    """What gearmand itself says, past the gate: how many workers each function has."""
    found = AdminClient(server=parse_server(gearmand.address)).status()
    return {one.name: one.workers for one in found if one.workers}


def gearmand_total(gearmand: Gearmand, function: str) -> int:
    """How many jobs of a function gearmand has."""
    found = AdminClient(server=parse_server(gearmand.address)).status()
    return next(one.total for one in found if one.name == function)


@pytest.mark.parametrize("name", ["web-1", "libra_pool_mgm", "libra_octavia", "web-20", "WEB-2"])
def test_a_stolen_node_certificate_takes_no_job_of_others(
    gate: Gate,
    gearmand: Gearmand,
    papers: Papers,
    make_worker: MakeWorker,
    stolen: TlsFiles,
    name: str,
) -> None:
    # Given a worker that would be web-1, or the pool manager, with the certificate of web-2
    thief = make_worker(gate, tls=stolen, name=name)
    until(lambda: all(one.losses for one in thief.status().lanes), "it is thrown out")
    # Then it is not registered, neither by its own belief nor by gearmand's
    assert not thief.registered
    assert _functions(gearmand) == {}
    assert f"node web-2 may not call itself '{name}/" in gate.said


@pytest.mark.parametrize("kind", [Kind.CAN_DO, Kind.CAN_DO_TIMEOUT])
def test_a_thief_who_leaves_out_the_id_gets_no_job_either(
    gate: Gate, gearmand: Gearmand, stolen: TlsFiles, kind: Kind
) -> None:
    # Given a registration for web-1, and a request for a job, in one breath
    with Raw(gate, stolen) as raw:
        more = [b"60"] if kind is Kind.CAN_DO_TIMEOUT else []
        raw.send(kind, b"web-1", *more)
        raw.send(Kind.GRAB_JOB)
        # Then it is refused in the protocol, and the connection is over
        found = raw.receive()
        assert found is not None
        assert found[0] == Kind.ERROR
        assert found[1].startswith(b"NOT_ALLOWED\0")
        assert b"may not take the jobs of 'web-1'" in found[1]
        assert raw.receive() is None
    assert _functions(gearmand) == {}


def test_a_stolen_node_certificate_sends_no_job_and_hears_of_nobody(
    gate: Gate, gearmand: Gearmand, papers: Papers, make_worker: MakeWorker, stolen: TlsFiles
) -> None:
    # Given a node with a job of its own
    make_worker(gate, tls=papers.holder("web-1", "node"))
    until(lambda: _functions(gearmand) == {"web-1": 2}, "web-1 is registered")
    # Then no job gets through with the other's certificate, of no kind
    client = JobClient(servers=[gate.address], tls=stolen)
    for function in ("web-1", "web-2", "libra_pool_mgm"):
        with pytest.raises(NoServer, match="a node submits no jobs"):
            client.submit(function, b"x", timeout=10)
        with pytest.raises(NoServer, match="a node submits no jobs"):
            client.background(function, b"x")
    # And the lists that it is shown are empty
    ours = AdminClient(server=gate.address, tls=stolen)
    assert ours.status() == ()
    assert ours.workers() == ()
    with Raw(gate, stolen) as raw:
        for line in (b"show jobs", b"cancel job H:vm:1", b"shutdown", b"drop function web-1"):
            assert raw.ask(line).startswith(b"ERR NOT_ALLOWED")
    assert gearmand.answers()


def test_a_node_cannot_answer_for_another(
    gate: Gate, papers: Papers, make_worker: MakeWorker, stolen: TlsFiles, api: TlsFiles
) -> None:
    # Given a job that waits at web-1
    make_worker(gate, tls=papers.holder("web-1", "node"), handler=lambda job: b"true " + job.data)
    # When the thief answers every job that there could be
    with Raw(gate, stolen) as raw:
        raw.send(Kind.CAN_DO, b"web-2")
        for number in range(1, 30):
            raw.send(Kind.WORK_COMPLETE, f"H:vm:{number}".encode(), b"forged")
        client = JobClient(servers=[gate.address], tls=api)
        # Then what comes is the node's
        assert client.submit("web-1", b"x", timeout=20) == b"true x"


def test_each_daemon_does_its_work_by_its_own_role(
    gate: Gate, gearmand: Gearmand, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    # Given a node, a pool manager and an Octavia agent, as they come
    pool, provider = papers.holder("pool-1", "pool"), papers.holder("octavia-1", "provider")
    make_worker(gate, tls=papers.holder("web-1", "node"), name="web-1")
    make_worker(gate, tls=pool, name="libra_pool_mgm", client_id="libra_pool_mgm@some-host")
    make_worker(gate, tls=provider, name="libra_octavia")
    expected = {"web-1": 2, "libra_pool_mgm": 2, "libra_octavia": 2}
    until(lambda: _functions(gearmand) == expected, "all are registered")
    # Then each of them reaches whom it must
    allowed = {
        ("api", "web-1"): api,
        ("api", "libra_pool_mgm"): api,
        ("pool", "web-1"): pool,
        ("provider", "libra_pool_mgm"): provider,
        ("provider", "libra_octavia"): provider,
    }
    for (_, function), tls in allowed.items():
        client = JobClient(servers=[gate.address], tls=tls)
        assert client.submit(function, b"ab", timeout=20) == b"ba"
        assert client.background(function, b"ab")
    # And nobody else
    for tls, function in ((pool, "libra_pool_mgm"), (provider, "web-1")):
        with pytest.raises(NoServer, match="may not submit"):
            JobClient(servers=[gate.address], tls=tls).submit(function, b"ab", timeout=20)
    # And a node sees that it is registered, a pool manager and a controller see everybody
    node = AdminClient(server=gate.address, tls=papers.holder("web-1", "node"))
    assert {one.name: one.workers for one in node.status()} == {"web-1": 2}
    assert {one.client_id for one in node.workers()} == {"web-1/1", "web-1/2"}
    for tls in (pool, api):
        found = AdminClient(server=gate.address, tls=tls).status()
        assert {one.name: one.workers for one in found} == expected


def test_refusals_do_not_break_what_is_under_way(
    gate: Gate, papers: Papers, make_worker: MakeWorker, api: TlsFiles
) -> None:
    # Given an answer of a megabyte on its way to a controller
    make_worker(gate, tls=papers.holder("web-1", "node"), handler=lambda job: job.data * 1000)
    with Raw(gate, api) as raw:
        raw.send(Kind.SUBMIT_JOB, b"web-1", b"u", b"x" * 1000)
        # When it sends what is refused, again and again
        for _ in range(20):
            raw.send(Kind.GRAB_JOB)
        # Then each is refused between two whole packets, and the answer comes whole
        kinds: list[int] = []
        answer = b""
        while len(kinds) < 22:
            found = raw.receive()
            assert found is not None
            kinds.append(found[0])
            answer = found[1] if found[0] == Kind.WORK_COMPLETE else answer
        assert kinds.count(Kind.ERROR) == 20
        assert answer.partition(b"\0")[2] == b"x" * 1_000_000


@pytest.fixture(name="tools")
def _tools(gate: Gate, api: TlsFiles) -> Iterator[Tunnel]:
    with Tunnel(gate, api) as tunnel:
        yield tunnel


def test_gearmans_own_client_and_worker_work_by_the_same_rules(
    gate: Gate, gearmand: Gearmand, papers: Papers, tools: Tunnel
) -> None:
    with Tunnel(gate, papers.holder("web-1", "node")) as node:
        # Given gearman's own worker with a node's certificate
        worker = node.start("gearman", "-w", "-f", "web-1", "--", "tr", "a-z", "A-Z")
        try:
            until(lambda: _functions(gearmand) == {"web-1": 1}, "it is registered")
            # When gearman's own client submits with a controller's
            done = tools.run("gearman", "-f", "web-1", input=b"hello")
            # Then the answer comes
            assert (done.returncode, done.stdout) == (0, b"HELLO")
        finally:
            worker.kill()
            worker.communicate()
        # And with the node's certificate the same client gets nothing but the reason
        refused = node.run("gearman", "-b", "-f", "web-1", input=b"hello")
        assert b"NOT_ALLOWED:SUBMIT_JOB_BG: a node submits no jobs" in refused.stderr
        assert gearmand_total(gearmand, "web-1") == 0
        # And as a worker of another node it gets nowhere
        thief = node.start("gearman", "-w", "-c", "1", "-f", "web-2", "--", "cat")
        try:
            until(lambda: "may not take the jobs of 'web-2'" in gate.said, "it is refused")
            assert "web-2" not in _functions(gearmand)
        finally:
            thief.kill()
            thief.communicate()


def test_gearadmin_reads_as_a_controller_and_changes_as_an_operator(
    gate: Gate, gearmand: Gearmand, papers: Papers, tools: Tunnel
) -> None:
    JobClient(servers=[gate.address], tls=papers.holder("api", "controller")).background(
        "web-1", b"x"
    )
    for option in ("--status", "--workers", "--server-version", "--show-jobs", "--getpid"):
        read = tools.run("gearadmin", option)
        assert read.returncode == 0, read
        assert b"NOT_ALLOWED" not in read.stdout
    assert b"web-1\t1\t0\t0" in tools.run("gearadmin", "--status").stdout
    # What changes something is refused
    tools.run("gearadmin", "--drop-function", "web-1")
    tools.run("gearadmin", "--shutdown")
    assert b"web-1" in tools.run("gearadmin", "--status").stdout
    assert gearmand.answers()
    # And done for an operator
    with Tunnel(gate, papers.holder("ann", "operator")) as operator:
        operator.run("gearadmin", "--create-function", "made")
        assert b"made\t0\t0\t0" in operator.run("gearadmin", "--status").stdout
        operator.run("gearadmin", "--drop-function", "made")
        assert b"made" not in operator.run("gearadmin", "--status").stdout
