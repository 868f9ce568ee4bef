"""Servers that die, freeze, come late or are cut off: the worker is back without help."""

from __future__ import annotations

import os
import time

import pytest

from libra_common.jobs import Job, JobClient, JobWorker, LaneState, parse_server
from tests.integration.jobs.conftest import MakeWorker
from tests.support.blackhole import Blackhole
from tests.support.gearmand import Gearmand
from tests.support.ports import free_port
from tests.support.sizes import size
from tests.support.wait import until

# The promise is 5 s; the rest is for a machine that is busy with something else.
BACK_WITHIN = 5.0 + 3.0


def ask(server: Gearmand, data: bytes = b"ping") -> bytes:
    return JobClient(servers=[parse_server(server.address)]).submit("node", data, timeout=60)


def all_idle(worker: JobWorker) -> bool:
    return all(lane.state is LaneState.IDLE for lane in worker.status().lanes)


def survive_restarts(gearmand: Gearmand, worker: JobWorker, times: int) -> None:
    until(lambda: all_idle(worker), "registered at first")
    for turn in range(times):
        gearmand.kill()
        until(lambda: not worker.registered, "the loss is noticed")
        time.sleep(0.1 * (turn % 5))
        gearmand.start()
        took = until(lambda: all_idle(worker), "registered again", BACK_WITHIN)
        assert took < BACK_WITHIN
        assert ask(gearmand, b"%d" % turn) == b"%d" % turn


def test_a_worker_registers_again_whenever_gearmand_was_killed(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    survive_restarts(gearmand, make_worker(gearmand, slots=4), 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_registers_again_many_times_over(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    survive_restarts(gearmand, make_worker(gearmand, slots=4), size(15, full=50))


def test_a_server_that_was_down_at_start_is_joined_when_it_comes(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given two servers of which one is not there
    late = Gearmand()
    try:
        worker = make_worker(gearmand, late)
        until(lambda: worker.registered == (parse_server(gearmand.address),), "the live one")
        assert ask(gearmand) == b"ping"
        time.sleep(3)
        # When it comes
        late.start()
        # Then it is joined, and both serve
        until(lambda: len(worker.registered) == 2, "both", BACK_WITHIN)
        assert ask(late) == b"ping"
        assert ask(gearmand) == b"ping"
    finally:
        late.__exit__()


def sleep_as_told(job: Job) -> bytes:
    time.sleep(float(job.data))
    return b"done"


def test_a_slot_busy_for_one_server_does_not_keep_the_other_waiting(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given one slot and two servers, the first of which has a long job
    with Gearmand() as other:
        make_worker(gearmand, other, slots=1, handler=sleep_as_told)
        JobClient(servers=[parse_server(gearmand.address)]).background("node", b"5")
        time.sleep(0.5)
        # Then a short job of the second is done before it
        began = time.monotonic()
        assert ask(other, b"0") == b"done"
        assert time.monotonic() - began < 4


def test_a_caller_goes_to_the_next_server_when_the_first_is_away(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    make_worker(gearmand)
    client = JobClient(
        servers=[parse_server(f"127.0.0.1:{free_port()}"), parse_server(gearmand.address)]
    )
    assert client.submit("node", b"x", timeout=60) == b"x"


def freeze_and_thaw(gearmand: Gearmand, worker: JobWorker, noticed_within: float) -> None:
    until(lambda: all_idle(worker), "registered")
    gearmand.freeze()
    try:
        until(lambda: not worker.registered, "the silence is noticed", noticed_within)
    finally:
        gearmand.thaw()
    until(lambda: all_idle(worker), "registered again", BACK_WITHIN + 15)
    assert ask(gearmand) == b"ping"


def cut_and_mend(
    gearmand: Gearmand, make_worker: MakeWorker, noticed_within: float, **options: float
) -> None:
    with Blackhole(gearmand.port) as cable:
        worker = make_worker(f"127.0.0.1:{cable.port}", **options)
        until(lambda: all_idle(worker), "registered")
        cable.cut()
        until(lambda: not worker.registered, "the cut is noticed", noticed_within)
        cable.mend()
        until(lambda: all_idle(worker), "registered again", noticed_within + BACK_WITHIN)
        assert ask(gearmand) == b"ping"


def test_a_frozen_server_is_noticed_and_joined_again(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    worker = make_worker(gearmand, probe_idle=0.5, probe_patience=0.5)
    freeze_and_thaw(gearmand, worker, 20)


def test_a_connection_cut_without_a_word_is_noticed_and_replaced(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    cut_and_mend(gearmand, make_worker, 20, probe_idle=0.5, probe_patience=0.5)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_the_usual_times_a_frozen_server_is_noticed_within_a_minute(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    freeze_and_thaw(gearmand, make_worker(gearmand), 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_with_the_usual_times_a_cut_connection_is_noticed_within_a_minute(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    cut_and_mend(gearmand, make_worker, 60)


@pytest.mark.slow
def test_waiting_for_a_server_that_is_away_costs_next_to_nothing(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given eight slots whose server is killed
    worker = make_worker(gearmand, slots=8)
    until(lambda: all_idle(worker), "registered")
    gearmand.kill()
    # When eight seconds pass
    before = sum(os.times()[:2])
    time.sleep(8)
    # Then they took under 0.2 s of this process
    spent = sum(os.times()[:2]) - before
    print(f"CPU while away for 8 s: {spent:.3f} s")
    assert spent < 0.2


@pytest.mark.slow
def test_being_registered_and_idle_costs_nothing(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    worker = make_worker(gearmand, slots=8)
    until(lambda: all_idle(worker), "registered")
    before = sum(os.times()[:2])
    time.sleep(20)
    assert sum(os.times()[:2]) - before < 0.1
