"""A caller against servers that refuse, fail, hang and speak nonsense."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from libra_common.jobs import (
    BadJob,
    ConnectionLost,
    GearmanServer,
    JobClient,
    JobFailed,
    JobTimeout,
    NoServer,
    probe,
)
from tests.support.ports import free_port
from tests.unit.jobs.fakeserver import (
    ERROR,
    JOB_CREATED,
    SUBMIT_JOB,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
    FakeServer,
    Peer,
    packet,
)

CREATED = packet(JOB_CREATED, b"H:fake:1")


def reply(*packets: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.expect(SUBMIT_JOB)
        peer.send(*packets)
        peer.hold()

    return script


def hang_up(*packets: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.expect(SUBMIT_JOB)
        peer.send(*packets)

    return script


def submit(*servers: FakeServer | int, timeout: float = 20, stall: float = 5.0) -> bytes:
    ports = [one if isinstance(one, int) else one.port for one in servers]
    client = JobClient(
        servers=[GearmanServer("127.0.0.1", port) for port in ports], connect_timeout=stall
    )
    return client.submit("node", b"data", timeout=timeout)


def test_the_answer_comes_back_as_it_was_sent() -> None:
    answer = b"\0any\0bytes\xff"
    with FakeServer(reply(CREATED, packet(WORK_COMPLETE, b"H:fake:1", answer))) as server:
        assert submit(server) == answer


def test_progress_and_packets_of_other_jobs_do_not_end_the_wait() -> None:
    chatter = [
        packet(12, b"H:fake:1", b"1", b"2"),
        packet(28, b"H:fake:1", b"part"),
        packet(29, b"H:fake:1", b"warning"),
        packet(WORK_COMPLETE, b"H:fake:9", b"another's"),
        packet(WORK_COMPLETE, b"H:fake:1", b"mine"),
    ]
    with FakeServer(reply(CREATED, *chatter)) as server:
        assert submit(server) == b"mine"


@pytest.mark.parametrize(
    "packets",
    [
        [packet(WORK_FAIL, b"H:fake:1")],
        [packet(WORK_FAIL, b"H:fake:1\0")],
        [packet(WORK_EXCEPTION, b"H:fake:1", b"boom")],
        [packet(ERROR, b"QUEUE_ERROR", b"full")],
    ],
    ids=["fail", "fail with the NUL of gearmand 1.1.20", "exception", "error"],
)
def test_a_job_that_was_given_up_is_told_at_once(packets: list[bytes]) -> None:
    began = time.monotonic()
    with FakeServer(reply(CREATED, *packets)) as server, pytest.raises(JobFailed):
        submit(server)
    assert time.monotonic() - began < 10


def test_no_answer_in_time_is_a_timeout() -> None:
    with FakeServer(reply(CREATED)) as server, pytest.raises(JobTimeout, match=r"0\.3 s"):
        submit(server, timeout=0.3)


def test_a_connection_lost_during_the_job_is_told_at_once() -> None:
    with FakeServer(hang_up(CREATED)) as server, pytest.raises(ConnectionLost):
        submit(server)
    assert server.connections == 1


@pytest.mark.parametrize(
    "fault",
    [
        reply(packet(ERROR, b"JOB_QUEUE_FULL", b"full")),
        hang_up(),
        reply(b"HTTP/1.1 400\r\n"),
        reply(packet(99)),
        reply(),
    ],
    ids=["refuses", "hangs up", "speaks another protocol", "unknown command", "never answers"],
)
def test_a_server_that_does_not_take_the_job_is_left_for_the_next(
    fault: Callable[[Peer], None],
) -> None:
    good = reply(CREATED, packet(WORK_COMPLETE, b"H:fake:1", b"done"))
    with FakeServer(fault) as bad, FakeServer(good) as server:
        assert submit(free_port(), bad, server, stall=0.5) == b"done"


def test_with_no_server_left_each_reason_is_named() -> None:
    port = free_port()
    with FakeServer(hang_up()) as bad, pytest.raises(NoServer) as caught:
        submit(port, bad)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert f"127.0.0.1:{bad.port}" in str(caught.value)
    assert caught.value.code == "no_server"


@pytest.mark.parametrize(
    ("function", "unique"), [("", "u"), ("a\0b", "u"), ("f" * 600, "u"), ("f", "u" * 65)]
)
def test_a_job_that_the_protocol_cannot_carry_is_refused_unsent(function: str, unique: str) -> None:
    with FakeServer(reply(CREATED)) as server:
        client = JobClient(servers=[GearmanServer("127.0.0.1", server.port)])
        with pytest.raises(BadJob):
            client.submit(function, b"", timeout=5, unique=unique)
        assert server.connections == 0


def test_a_probe_of_something_else_than_gearman_says_so() -> None:
    def web(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.socket.recv(1000)

    with FakeServer(web) as server, pytest.raises(NoServer, match="does not answer as a gearman"):
        probe(GearmanServer("127.0.0.1", server.port))


def test_a_probe_of_a_mute_server_ends_at_its_deadline() -> None:
    began = time.monotonic()
    with FakeServer(lambda peer: peer.hold()) as server, pytest.raises(NoServer):
        probe(GearmanServer("127.0.0.1", server.port), timeout=0.3)
    assert time.monotonic() - began < 5
