"""Connections that a caller keeps between its jobs: used again, and never at a job's cost."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from libra_common.jobs import GearmanServer, JobClient, JobFailed, Kept
from tests.support.wait import until
from tests.unit.jobs.fakeserver import (
    ERROR,
    JOB_CREATED,
    SUBMIT_JOB,
    WORK_COMPLETE,
    WORK_FAIL,
    FakeServer,
    Peer,
    packet,
)

_HANDLES = (b"H:fake:%d" % number for number in itertools.count(1))


def answer(peer: Peer) -> None:
    """Take one job and answer it with what it said."""
    _, _, data = peer.expect(SUBMIT_JOB).split(b"\0")
    handle = next(_HANDLES)
    peer.send(packet(JOB_CREATED, handle), packet(WORK_COMPLETE, handle, data))


def always(peer: Peer) -> None:
    while True:
        answer(peer)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> Iterator[Kept]:
    found = Kept(seconds=10, clock=clock)
    yield found
    found.close()


def client(server: FakeServer, kept: Kept) -> Callable[[bytes], bytes]:
    jobs = JobClient(
        servers=[GearmanServer("127.0.0.1", server.port)], connect_timeout=0.3, kept=kept
    )
    return lambda data: jobs.submit("node", data, timeout=20)


def test_jobs_one_after_the_other_share_a_connection(kept: Kept) -> None:
    with FakeServer(always) as server:
        submit = client(server, kept)
        assert [submit(b"%d" % number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert len(server.peers) == 1


def test_one_that_has_waited_too_long_is_not_used(kept: Kept, clock: Clock) -> None:
    with FakeServer(always, always) as server:
        submit = client(server, kept)
        submit(b"first")
        clock.now = 9.9
        submit(b"still")
        assert len(server.peers) == 1
        clock.now = 30
        assert submit(b"late") == b"late"
        assert len(server.peers) == 2


def test_one_that_the_server_has_closed_meanwhile_is_replaced(kept: Kept) -> None:
    with FakeServer(answer, always) as server:
        submit = client(server, kept)
        submit(b"first")
        until(lambda: server.peers[0].socket.fileno() < 0, "the server has hung up")
        assert submit(b"second") == b"second"


def hang_up_at_the_second(peer: Peer) -> None:
    answer(peer)
    peer.expect(SUBMIT_JOB)


def silent_at_the_second(peer: Peer) -> None:
    answer(peer)
    peer.expect(SUBMIT_JOB)
    peer.hold()


def refuse_the_second(peer: Peer) -> None:
    answer(peer)
    peer.expect(SUBMIT_JOB)
    peer.send(packet(ERROR, b"queue_full", b"no more"))
    peer.hold()


@pytest.mark.parametrize("script", [hang_up_at_the_second, silent_at_the_second, refuse_the_second])
def test_a_job_that_a_kept_connection_does_not_take_goes_to_a_new_one(
    kept: Kept, script: Callable[[Peer], None]
) -> None:
    with FakeServer(script, always) as server:
        submit = client(server, kept)
        submit(b"first")
        assert submit(b"second") == b"second"
        assert len(server.peers) == 2


def test_one_whose_job_failed_is_not_kept(kept: Kept) -> None:
    def fail(peer: Peer) -> None:
        peer.expect(SUBMIT_JOB)
        handle = next(_HANDLES)
        peer.send(packet(JOB_CREATED, handle), packet(WORK_FAIL, handle))
        peer.hold()

    with FakeServer(fail, always) as server:
        submit = client(server, kept)
        with pytest.raises(JobFailed):
            submit(b"first")
        assert submit(b"second") == b"second"
        assert len(server.peers) == 2


def test_no_more_are_kept_than_have_a_place(kept: Kept) -> None:
    # Given twenty calls under way at once
    together = threading.Barrier(20)

    def after_all(peer: Peer) -> None:
        _, _, data = peer.expect(SUBMIT_JOB).split(b"\0")
        together.wait(20)
        peer.send(packet(JOB_CREATED, b"H:fake:1"), packet(WORK_COMPLETE, b"H:fake:1", data))
        peer.hold()

    with FakeServer(after_all) as server:
        submit = client(server, kept)
        with ThreadPoolExecutor(20) as pool:
            assert len(list(pool.map(submit, [b"x"] * 20))) == 20
        # Then eight connections are left open
        until(lambda: sum(one.socket.fileno() >= 0 for one in server.peers) == 8, "12 are closed")


def test_what_is_given_after_the_end_is_closed(kept: Kept) -> None:
    with FakeServer(always) as server:
        kept.close()
        submit = client(server, kept)
        submit(b"first")
        submit(b"second")
        assert len(server.peers) == 2
