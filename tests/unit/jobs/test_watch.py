"""Of the idle slots two sleep at the server; the others rest until one of those has work."""

from __future__ import annotations

import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from libra_common.jobs import Job
from libra_common.jobs.watch import Watch
from tests.support.wait import until
from tests.unit.jobs.fakeserver import (
    GRAB_JOB_UNIQ,
    JOB_ASSIGN_UNIQ,
    NOOP,
    PRE_SLEEP,
    WORK_COMPLETE,
    FakeServer,
    Peer,
    packet,
)
from tests.unit.jobs.running import worker

SLOTS = ("a", "b", "c", "d", "e")


@given(st.lists(st.tuples(st.sampled_from(SLOTS), st.booleans())))
def test_as_many_sleep_as_have_a_place_and_nobody_rests_beside_an_empty_one(
    steps: list[tuple[str, bool]],
) -> None:
    watch = Watch(places=2)
    idle: set[str] = set()
    asleep: set[str] = set()
    for slot, sleeps in steps:
        # When slots come to rest and go to work in any order
        if sleeps:
            idle.add(slot)
            if watch.sleeps(slot, lambda slot=slot: asleep.add(slot)):  # type: ignore[misc]
                asleep.add(slot)
        else:
            idle.discard(slot)
            asleep.discard(slot)
            watch.leaves(slot)
        # Then two of the idle ones sleep, or all where there are fewer
        assert asleep <= idle
        assert len(asleep) == min(2, len(idle))


def test_a_third_slot_sleeps_only_when_one_of_two_has_work() -> None:
    ended = threading.Event()

    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.hold()

    def handler(_: Job) -> bytes:
        ended.wait(20)
        return b"done"

    def asleep() -> list[Peer]:
        return [peer for peer in server.peers[:4] if (PRE_SLEEP, b"") in peer.heard]

    with FakeServer(script) as server, worker(server, handler, slots=4) as made:
        # Given four slots that the server knows, of which two sleep there
        until(lambda: len(made.registered) == 1, "registered")
        until(lambda: len(server.peers) == 4, "four connections")
        until(lambda: len(asleep()) == 2, "two sleep")
        # When one of them is given a job
        first, second = asleep()
        first.send(packet(NOOP))
        until(lambda: (GRAB_JOB_UNIQ, b"") in first.heard, "it asks for the job")
        assert len(asleep()) == 2
        first.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", b"node", b"", b"d"))
        # Then a third sleeps in its place
        until(lambda: len(asleep()) == 3, "a third sleeps")
        # And a fourth when a connection is lost
        second.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: len(asleep()) == 4, "a fourth sleeps")
        ended.set()


def test_of_two_slots_that_are_called_for_one_job_one_asks_and_the_other_a_little_later() -> None:
    def script(peer: Peer) -> None:
        peer.expect(PRE_SLEEP)
        peer.hold()

    def heard(peer: Peer, kind: int) -> int:
        return [one for one, _ in peer.heard].count(kind)

    with FakeServer(script) as server, worker(server, slots=2) as made:
        # Given two slots that sleep
        until(lambda: len(made.registered) == 1, "registered")
        until(lambda: len(server.peers) == 2, "two connections")
        first, second = server.peers
        until(lambda: heard(first, PRE_SLEEP) == heard(second, PRE_SLEEP) == 1, "both sleep")
        # When one asks and gets no answer, and the other one is called too
        first.send(packet(NOOP))
        until(lambda: heard(first, GRAB_JOB_UNIQ) == 1, "it asks for the job")
        second.send(packet(NOOP))
        # Then that one asks as well, without having gone to sleep: gearmand would forget it
        until(lambda: heard(second, GRAB_JOB_UNIQ) == 1, "it asks too")
        assert heard(second, PRE_SLEEP) == 1
        # And it works, and sleeps again
        second.send(packet(JOB_ASSIGN_UNIQ, b"H:fake:1", b"node", b"", b"d"))
        until(lambda: heard(second, WORK_COMPLETE) == 1, "it answers")
        until(lambda: heard(second, PRE_SLEEP) == 2, "it sleeps")


@given(st.lists(st.tuples(st.sampled_from(SLOTS), st.booleans())))
def test_a_slot_hangs_back_only_while_another_asks(steps: list[tuple[str, bool]]) -> None:
    watch = Watch()
    asking: set[str] = set()
    for slot, called in steps:
        if not called:
            watch.asked(slot)
            asking.discard(slot)
        elif watch.asks(slot):
            asking.add(slot)
            assert asking == {slot}
        else:
            assert asking - {slot}
