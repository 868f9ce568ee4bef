"""Handlers that answer later: no thread waits, and nothing that is promised is given up for it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from libra_common.errors import SettingsError
from libra_common.jobs import AdminClient, Job, JobClient, JobWorker, LaneState, parse_server
from tests.integration.jobs.conftest import MakeWorker
from tests.support.gearmand import Gearmand
from tests.support.wait import until


class Promises:
    """A handler whose answers the test gives, by the jobs' data."""

    def __init__(self) -> None:
        self.made: list[tuple[Job, Future[bytes]]] = []

    def __call__(self, job: Job) -> Future[bytes]:
        future: Future[bytes] = Future()
        self.made.append((job, future))
        return future

    def keep(self) -> None:
        for job, future in list(self.made):
            if not future.done():
                future.set_result(b"answer to " + job.data)


def client(server: Gearmand) -> JobClient:
    return JobClient(servers=[parse_server(server.address)])


def all_idle(worker: JobWorker) -> bool:
    return all(lane.state is LaneState.IDLE for lane in worker.status().lanes)


def test_forty_waiting_jobs_need_no_more_threads_than_one(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given a worker whose forty slots share a thread
    promises = Promises()
    before = threading.active_count()
    worker = make_worker(gearmand, slots=40, shared_threads=True, handler=promises)
    until(lambda: all_idle(worker), "registered")
    assert threading.active_count() == before + 1
    with ThreadPoolExecutor(45) as pool:
        # When more jobs come than there are slots
        sent = [
            pool.submit(client(gearmand).submit, "node", b"%d" % number, timeout=90)
            for number in range(45)
        ]
        until(lambda: worker.status().busy == 40, "forty jobs wait")
        # Then the callers' threads are the only new ones, and the other jobs stay queued
        assert threading.active_count() <= before + 1 + 45
        assert len(promises.made) == 40
        admin = AdminClient(server=parse_server(gearmand.address))
        until(
            lambda: [(one.total, one.running) for one in admin.status()] == [(45, 40)],
            "five are queued",
        )
        # And each has its own answer once there is one
        promises.keep()
        until(lambda: len(promises.made) == 45, "the last five")
        promises.keep()
        assert [one.result() for one in sent] == [b"answer to %d" % n for n in range(45)]
    until(lambda: all_idle(worker), "idle again")
    assert all(lane.losses == 0 for lane in worker.status().lanes)


@pytest.mark.parametrize("shared", [True, False])
def test_a_future_that_fails_or_is_cancelled_is_answered_with_an_object(
    gearmand: Gearmand, make_worker: MakeWorker, shared: bool
) -> None:
    def handler(job: Job) -> Future[bytes]:
        future: Future[bytes] = Future()
        if job.data == b"cancel":
            future.cancel()
        elif job.data == b"text":
            future.set_result("no bytes")  # type: ignore[arg-type]
        else:
            future.set_exception(ZeroDivisionError())
        return future

    make_worker(gearmand, shared_threads=shared, handler=handler)
    for data in (b"cancel", b"text", b"raise"):
        answer = json.loads(client(gearmand).submit("node", data, timeout=60))
        assert answer["hpcs_error_code"] == "internal_error"


def test_a_connection_whose_job_waits_is_kept_alive_by_probes(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given a job that waits, and probes every half a second
    promises = Promises()
    worker = make_worker(
        gearmand, shared_threads=True, handler=promises, probe_idle=0.5, probe_patience=0.5
    )
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client(gearmand).submit, "node", b"A", timeout=90)
        until(lambda: promises.made, "A waits")
        # When the server freezes
        gearmand.freeze()
        try:
            until(lambda: not worker.registered, "the silence is noticed")
        finally:
            gearmand.thaw()
        # Then the server has the job run again, and the second run's answer reaches the caller
        until(lambda: len(promises.made) == 2, "A runs again")
        assert {job.unique for job, _ in promises.made} == {promises.made[0][0].unique}
        assert promises.made[0][1].cancelled()
        promises.made[1][1].set_result(b"in time")
        assert sent.result(timeout=60) == b"in time"


def test_probes_alone_never_end_a_long_wait(gearmand: Gearmand, make_worker: MakeWorker) -> None:
    promises = Promises()
    worker = make_worker(
        gearmand, shared_threads=True, handler=promises, probe_idle=0.05, probe_patience=5
    )
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client(gearmand).submit, "node", b"A", timeout=90)
        until(lambda: promises.made, "A waits")
        threading.Event().wait(1.5)  # thirty probes
        promises.keep()
        assert sent.result(timeout=60) == b"answer to A"
    assert all(lane.losses == 0 for lane in worker.status().lanes)


def test_a_late_answer_never_reaches_another_caller_after_a_restart(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given job A waiting, and a server that counts its handles from 1 again
    promises = Promises()
    make_worker(gearmand, shared_threads=True, handler=promises)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client(gearmand).submit, "node", b"A", timeout=90)
        until(lambda: promises.made, "A waits")
        gearmand.kill()
        gearmand.start()
        second = pool.submit(client(gearmand).submit, "node", b"B", timeout=90)
        until(lambda: len(promises.made) == 2, "B waits")
        assert promises.made[0][0].handle == promises.made[1][0].handle
        # When both are answered, A first
        promises.keep()
        # Then B has its own answer
        assert second.result(timeout=60) == b"answer to B"
        assert type(first.exception(timeout=60)).__name__ == "ConnectionLost"


def test_a_stop_waits_for_late_answers_and_takes_no_more_jobs(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given two jobs waiting in two slots, and a third queued
    promises = Promises()
    worker = make_worker(gearmand, shared_threads=True, handler=promises)
    with ThreadPoolExecutor(3) as pool:
        sent = [
            pool.submit(client(gearmand).submit, "node", b"%d" % number, timeout=90)
            for number in range(3)
        ]
        until(lambda: len(promises.made) == 2, "two wait")
        # When it is told to stop
        assert not worker.stop(0.5)
        promises.keep()
        assert worker.stop(30)
        # Then the two are delivered, and the third is another's
        until(lambda: sum(one.done() for one in sent) == 2, "two answers")
        make_worker(gearmand, handler=lambda job: b"other " + job.data)
        answers = [one.result(timeout=60) for one in sent]
    assert sum(answer.startswith(b"answer") for answer in answers) == 2
    assert sum(answer.startswith(b"other") for answer in answers) == 1


def test_slots_that_share_a_thread_do_not_grow() -> None:
    with pytest.raises(SettingsError):
        JobWorker(
            name="node",
            servers=[parse_server("127.0.0.1")],
            slots=2,
            max_slots=3,
            shared_threads=True,
            handler=lambda job: job.data,
            on_oversize=lambda size: b"%d" % size,
        )
