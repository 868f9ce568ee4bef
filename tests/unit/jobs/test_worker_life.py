"""A worker's silences and stops, seen from the server's side."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from libra_common.errors import SettingsError
from libra_common.jobs import GearmanServer, Job, JobWorker, LaneState
from tests.support.wait import until
from tests.unit.jobs.fakeserver import (
    ECHO_REQ,
    ECHO_RES,
    GRAB_JOB_UNIQ,
    JOB_ASSIGN_UNIQ,
    NOOP,
    PRE_SLEEP,
    WORK_COMPLETE,
    FakeServer,
    Peer,
    answers_to,
    packet,
    serve_one,
)
from tests.unit.jobs.running import worker


def test_a_server_that_falls_silent_is_left_for_a_new_connection() -> None:
    # Given a server that registers the worker and then answers nothing
    def silent(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        while True:
            peer.receive()

    with FakeServer(silent, serve_one(b"work")) as server, worker(server, probe=0.5):
        until(lambda: answers_to(server.peers), "served by the next connection")
        assert server.connections == 2


def test_a_slot_busy_for_long_is_not_taken_for_a_silent_connection() -> None:
    def slow(_: Job) -> bytes:
        time.sleep(1.5)
        return b"late"

    with FakeServer(serve_one(b"work")) as server, worker(server, slow, probe=0.5) as made:
        until(lambda: answers_to(server.peers), "the late answer")
        time.sleep(1.5)
        assert answers_to(server.peers) == [b"late"]
        assert made.status().lanes[0].losses == 0


def test_a_slow_reader_gets_the_whole_answer() -> None:
    # Given a server that takes a long answer bit by bit, for longer than silence is borne
    size = 60_000_000
    taken: list[int] = []

    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.send(packet(NOOP))
        peer.expect(GRAB_JOB_UNIQ)
        peer.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", b"node", b"", b"d"))
        while data := peer.socket.recv(2_000_000, socket.MSG_WAITALL):
            taken.append(len(data))
            time.sleep(0.1)

    with FakeServer(script) as server, worker(server, lambda _: b"y" * size, probe=2) as made:
        until(lambda: sum(taken) >= size, "the whole answer", 60)
        assert made.status().lanes[0].losses == 0


def test_a_stop_ends_no_connection_before_the_server_has_the_answer() -> None:
    # Given a job that ends after the stop was asked for
    begun, released, echo_asked, echo = (threading.Event() for _ in range(4))
    ended: list[float] = []

    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.send(packet(NOOP))
        peer.expect(GRAB_JOB_UNIQ)
        peer.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", b"node", b"", b"d"))
        peer.expect(WORK_COMPLETE)
        kind, body = peer.receive()
        assert kind == ECHO_REQ
        echo_asked.set()
        # Unread input at closing would reset the connection and may take the answer with it.
        peer.send(packet(NOOP))
        echo.wait(20)
        peer.send(packet(ECHO_RES, body))
        try:
            peer.hold()
        finally:
            ended.append(time.monotonic())

    def handler(_: Job) -> bytes:
        begun.set()
        released.wait(20)
        return b"done"

    with FakeServer(script) as server, worker(server, handler) as made:
        assert begun.wait(20)
        assert not made.stop(0.1)
        released.set()
        # Then it asks whether the answer arrived, stays until it knows, and takes no other job
        assert echo_asked.wait(20)
        assert not made.stop(0.5)
        assert not ended
        echo.set()
        assert made.stop(20)
        assert answers_to(server.peers) == [b"done"]
        kinds = [kind for kind, _ in server.peers[0].heard]
        assert kinds.count(GRAB_JOB_UNIQ) == 1
        assert PRE_SLEEP not in kinds[kinds.index(WORK_COMPLETE) :]


def test_a_job_handed_over_at_the_moment_of_the_stop_is_still_answered() -> None:
    asked = threading.Event()
    stopped = threading.Event()

    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.send(packet(NOOP))
        peer.expect(GRAB_JOB_UNIQ)
        asked.set()
        stopped.wait(20)
        peer.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", b"node", b"", b"d"))
        peer.hold()

    with FakeServer(script) as server, worker(server) as made:
        assert asked.wait(20)
        assert not made.stop(0.3)
        stopped.set()
        assert made.stop(20)
        assert answers_to(server.peers) == [b"D"]


def test_registered_means_that_the_server_has_answered() -> None:
    # Given a server that reads and never answers
    def mute(peer: Peer) -> None:
        while True:
            peer.receive()

    with FakeServer(mute) as server, worker(server) as made:
        until(lambda: server.peers and server.peers[0].heard, "the registration was sent")
        time.sleep(0.3)
        # Then nothing is claimed
        assert made.registered == ()
        assert made.status().lanes[0].state is LaneState.OPEN


def test_a_stop_is_noticed_at_once_whatever_the_slots_do() -> None:
    with FakeServer(lambda peer: peer.hold()) as server, worker(server, slots=4) as made:
        # All of them: a slot that is still connecting is not waited for by a stop.
        until(lambda: {lane.state for lane in made.status().lanes} == {LaneState.IDLE}, "idle")
        began = time.monotonic()
        assert made.stop(10)
        assert time.monotonic() - began < 1
        assert all(lane.state is LaneState.ENDED for lane in made.status().lanes)


def test_a_stop_before_any_start_and_a_second_stop_are_harmless() -> None:
    with FakeServer(lambda peer: peer.hold()) as server:
        made = JobWorker(
            name="node",
            servers=[GearmanServer("127.0.0.1", server.port)],
            slots=1,
            handler=lambda _: b"",
            on_oversize=lambda _: b"",
        )
        assert made.stop(1)
        assert made.stop(1)


@pytest.mark.parametrize("name", ["", "two words", "nul\0", "tab\t", "x" * 300])
def test_a_name_that_would_confuse_the_server_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        JobWorker(
            name=name,
            servers=[GearmanServer("127.0.0.1")],
            slots=1,
            handler=lambda _: b"",
            on_oversize=lambda _: b"",
        )
