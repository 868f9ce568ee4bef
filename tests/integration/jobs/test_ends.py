"""Workers that stop or die, servers that restart: no answer is lost or misled."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from libra_common.jobs import AdminClient, Job, JobClient, parse_server
from tests.integration.jobs.conftest import MakeWorker
from tests.support.gearmand import Gearmand
from tests.support.wait import until

REPOSITORY = Path(__file__).parents[3]


def client(*servers: Gearmand) -> JobClient:
    return JobClient(servers=[parse_server(one.address) for one in servers])


def admin(server: Gearmand) -> AdminClient:
    return AdminClient(server=parse_server(server.address))


def test_a_stop_delivers_the_running_jobs_and_leaves_the_others_queued(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given four jobs running and four waiting
    released = threading.Event()
    started: list[bytes] = []

    def slow(job: Job) -> bytes:
        started.append(job.data)
        released.wait(60)
        return b"done " + job.data

    worker = make_worker(gearmand, slots=4, handler=slow)
    with ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(client(gearmand).submit, "node", b"%d" % number, timeout=60)
            for number in range(8)
        ]
        until(lambda: len(started) == 4, "four jobs run")
        until(lambda: admin(gearmand).status()[0].total == 8, "four jobs wait")
        # When the worker is told to stop, and the jobs come to their end later
        assert not worker.stop(0.5)
        released.set()
        assert worker.stop(30)
        # Then the four are delivered and the others were never begun
        until(lambda: sum(one.done() for one in sent) == 4, "four answers")
        delivered = [one for one in sent if one.done()]
        assert sorted(one.result() for one in delivered) == sorted(b"done " + d for d in started)
        assert len(started) == 4
        assert admin(gearmand).status()[0].total == 4
        # And another worker does them
        make_worker(gearmand, slots=4, handler=lambda job: b"other " + job.data)
        answers = [one.result(timeout=60) for one in sent]
    assert sum(answer.startswith(b"other") for answer in answers) == 4


def test_a_job_not_yet_begun_by_a_stopping_worker_is_done_by_another(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given workers that stop and start while jobs keep coming
    ran: list[bytes] = []

    def note(job: Job) -> bytes:
        ran.append(job.data)
        time.sleep(0.01)  # so that stops fall into running jobs
        return job.data

    with ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(client(gearmand).submit, "node", b"%d" % number, timeout=90)
            for number in range(300)
        ]
        while not all(one.done() for one in sent):
            worker = make_worker(gearmand, slots=2, handler=note)
            time.sleep(0.1)
            assert worker.stop(30)
        answers = [one.result() for one in sent]
    # Then every job is answered, and none was run twice
    assert answers == [b"%d" % number for number in range(300)]
    assert len(ran) == 300


WORKER_PROCESS = """
import sys, time
from libra_common.jobs import JobWorker, parse_server

def handler(job):
    with open(sys.argv[2], "a") as file:
        file.write(job.unique + chr(10))
    time.sleep(float(sys.argv[3]))
    return b"by " + sys.argv[4].encode()

JobWorker(name="node", servers=[parse_server(sys.argv[1])], slots=1, handler=handler,
          on_oversize=lambda size: b"").start()
time.sleep(300)
"""


def test_a_job_whose_worker_was_killed_is_run_again_by_another(
    gearmand: Gearmand, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    ran.touch()

    def start(seconds: float, name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER_PROCESS, gearmand.address, str(ran), str(seconds), name],
            cwd=REPOSITORY,
        )

    first = start(300, "first")
    second = None
    try:
        with ThreadPoolExecutor(1) as pool:
            # Given a job that one process works at
            sent = pool.submit(client(gearmand).submit, "node", b"x", timeout=90, unique="u-1")
            until(lambda: ran.read_text(), "the first run")
            # When that process is killed and another one comes
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            second = start(0, "second")
            # Then the caller has the second one's answer, and the key of both runs is the same
            assert sent.result(timeout=90) == b"by second"
        assert ran.read_text().split() == ["u-1", "u-1"]
    finally:
        for process in (first, second):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(10)


def test_no_caller_is_given_the_answer_of_another_after_a_restart(
    make_worker: MakeWorker,
) -> None:
    # Given a server that counts its handles from 1 again, and job A running
    with Gearmand() as gearmand:
        both: dict[bytes, threading.Event] = {b"A": threading.Event(), b"B": threading.Event()}
        handles: dict[bytes, str] = {}

        def handler(job: Job) -> bytes:
            handles[job.data] = job.handle
            both[job.data].wait(60)
            return b"answer to " + job.data

        make_worker(gearmand, slots=2, handler=handler)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(client(gearmand).submit, "node", b"A", timeout=90)
            until(lambda: b"A" in handles, "A runs")
            # When the server restarts and B gets A's handle
            gearmand.kill()
            gearmand.start()
            second = pool.submit(client(gearmand).submit, "node", b"B", timeout=90)
            until(lambda: b"B" in handles, "B runs")
            assert handles[b"A"] == handles[b"B"]
            # and A comes to its end first
            both[b"A"].set()
            time.sleep(1)
            assert not second.done()
            both[b"B"].set()
            # Then B has its own answer, and A's caller was told of the loss
            assert second.result(timeout=60) == b"answer to B"
            assert type(first.exception(timeout=60)).__name__ == "ConnectionLost"
