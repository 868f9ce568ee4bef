"""A worker against servers that speak nonsense, and handlers that fail."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import pytest

from libra_common.jobs import Job
from tests.support.wait import until
from tests.unit.jobs.fakeserver import (
    ECHO_RES,
    ERROR,
    GRAB_JOB_UNIQ,
    HEADER,
    JOB_ASSIGN,
    JOB_ASSIGN_UNIQ,
    NOOP,
    PRE_SLEEP,
    FakeServer,
    Peer,
    answers_to,
    packet,
    serve_one,
)
from tests.unit.jobs.running import worker


def after_sleep(*packets: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.send(*packets)
        peer.hold()

    return script


def after_grab(*packets: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.send(packet(NOOP))
        peer.expect(GRAB_JOB_UNIQ)
        peer.send(*packets)
        peer.hold()

    return script


def hang_up_in_a_job(peer: Peer) -> None:
    peer.expect(PRE_SLEEP)
    peer.send(HEADER.pack(b"\0RES", JOB_ASSIGN_UNIQ, 500) + b"H:1")


def keep(job: Job, kept: list[Job]) -> bytes:
    kept.append(job)
    return b""


GARBAGE: dict[str, Callable[[Peer], None]] = {
    "random bytes": after_sleep(bytes(range(1, 256)) * 40),
    "text": after_sleep(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "one line": after_sleep(b"OK\n"),
    "bad magic": after_sleep(packet(NOOP, magic=b"\0RSE")),
    "magic of a request": after_sleep(packet(NOOP, magic=b"\0REQ")),
    "unknown command": after_sleep(packet(77, b"x")),
    "a command no worker gets": after_sleep(packet(8, b"H:1")),
    "huge length": after_sleep(HEADER.pack(b"\0RES", ECHO_RES, 0x7FFFFFFF)),
    "huge job": after_sleep(HEADER.pack(b"\0RES", JOB_ASSIGN_UNIQ, 0x7FFFFFFF) + b"x" * 9000),
    "negative length": after_sleep(HEADER.pack(b"\0RES", NOOP, 0xFFFFFFFF)),
    "payload where none belongs": after_sleep(packet(NOOP, b"x")),
    "short job": after_grab(packet(JOB_ASSIGN, b"H:1")),
    "short job with unique": after_grab(packet(JOB_ASSIGN_UNIQ, b"H:1", b"node")),
    "job without end of fields": after_grab(
        HEADER.pack(b"\0RES", JOB_ASSIGN_UNIQ, 9_000_000) + b"x" * 9000
    ),
    "job of another function": after_grab(packet(JOB_ASSIGN_UNIQ, b"H:1", b"other", b"u", b"d")),
    "job that nobody asked for": after_sleep(packet(JOB_ASSIGN_UNIQ, b"H:1", b"node", b"u", b"d")),
    "echo of nothing": after_sleep(packet(ECHO_RES, b"no number")),
    "echo of the future": after_sleep(packet(ECHO_RES, b"99")),
    "a hang-up at once": lambda _: None,
    "a hang-up in a packet": lambda peer: peer.send(b"\0RES\0\0"),
    "a hang-up in a job": hang_up_in_a_job,
}


@pytest.mark.parametrize("fault", GARBAGE)
def test_garbage_ends_the_connection_and_the_next_one_serves(fault: str) -> None:
    # Given a server that speaks nonsense at first and sense afterwards
    with FakeServer(GARBAGE[fault], serve_one(b"work")) as server, worker(server) as made:
        # When it has a job
        until(lambda: answers_to(server.peers), f"an answer after {fault}")
        # Then the job is served, on a new connection, once
        assert answers_to(server.peers) == [b"WORK"]
        assert server.connections == 2
        assert made.status().lanes[0].losses == 1


def test_a_server_that_always_speaks_nonsense_is_not_hammered() -> None:
    # Given garbage on every connection
    with FakeServer(GARBAGE["random bytes"]) as server, worker(server) as made:
        until(lambda: server.connections >= 3, "three attempts")
        # When five more seconds pass, under 1/4 + 1/2 + 1 + 2 seconds at least halved
        cpu = sum(os.times()[:2])
        time.sleep(5)
        # Then a few attempts were made, and next to nothing was spent
        assert server.connections <= 8
        assert sum(os.times()[:2]) - cpu < 1
        assert made.registered == ()


def test_an_error_packet_ahead_of_a_wake_up_does_not_lose_the_job() -> None:
    fault = packet(ERROR, b"JOB_NOT_FOUND", b"Job given in work result not found")
    with FakeServer(serve_one(b"work", fault)) as server, worker(server) as made:
        # Sooner than the next probe of silence, whose echo would hide a stall.
        until(lambda: answers_to(server.peers), "an answer", 10)
        assert server.connections == 1
        assert made.status().lanes[0].losses == 0


def test_a_job_over_the_limit_is_answered_without_being_kept() -> None:
    # Given a job of 9 MB where 1 MB is the limit
    seen: list[Job] = []
    size = 9_000_000
    with (
        FakeServer(serve_one(b"x" * size)) as server,
        worker(server, lambda job: keep(job, seen), message_limit=2**20),
    ):
        # Then it is answered, its handler never called, and the connection goes on
        until(lambda: answers_to(server.peers), "an answer")
        assert answers_to(server.peers) == [f"too long: {size}".encode()]
        assert seen == []
        assert server.connections == 1


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_exact(over: int) -> None:
    data = b"x" * (1000 + over)
    with FakeServer(serve_one(data)) as server, worker(server, message_limit=1000):
        until(lambda: answers_to(server.peers), "an answer")
        assert answers_to(server.peers) == [b"too long: 1001" if over else data.upper()]


class Odd(Exception):
    pass


def _raise(error: BaseException) -> bytes:
    raise error


@pytest.mark.parametrize(
    "handler",
    [
        lambda _: _raise(Odd("the inside of us")),
        lambda _: _raise(SystemExit(3)),
        lambda _: None,
        lambda _: "text",
    ],
    ids=["raises", "exits", "gives nothing", "gives text"],
)
def test_a_handler_that_fails_is_answered_and_logged(
    handler: Callable[[Job], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        FakeServer(serve_one(b"work")) as server,
        worker(server, handler) as made,
    ):
        until(lambda: answers_to(server.peers), "an answer")
        assert b'"internal_error"' in answers_to(server.peers)[0]
        assert b"inside" not in answers_to(server.peers)[0]
        assert made.status().lanes[0].losses == 0
    assert "H:fake:1" in caplog.text


def test_a_job_arrives_whole_with_its_names_and_times() -> None:
    seen: list[Job] = []
    before = time.monotonic()
    data = b"\0with\0NULs\xff"
    with FakeServer(serve_one(data)) as server, worker(server, lambda job: keep(job, seen)):
        until(lambda: answers_to(server.peers), "an answer")
    (job,) = seen
    assert (job.handle, job.unique, job.function, job.data) == ("H:fake:1", "key", "node", data)
    assert before <= job.received <= time.monotonic()
    assert job.received_at.tzinfo is not None
    assert "NULs" not in repr(job)
