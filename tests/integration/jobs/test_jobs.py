"""Jobs through a real gearmand: every one is answered, and only to its caller."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libra_common.jobs import AdminClient, Job, JobClient, LaneState, parse_server, probe
from tests.integration.jobs.conftest import MakeWorker
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.wait import until

REPOSITORY = Path(__file__).parents[3]


def client(*servers: Gearmand) -> JobClient:
    return JobClient(servers=[parse_server(one.address) for one in servers])


def admin(server: Gearmand) -> AdminClient:
    return AdminClient(server=parse_server(server.address))


def test_every_job_gets_its_own_answer(gearmand: Gearmand, make_worker: MakeWorker) -> None:
    # Given a worker with four slots
    make_worker(gearmand, slots=4, handler=lambda job: job.data[::-1])
    # When 200 different jobs come from eight callers
    messages = [f"message {number}".encode() for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda data: client(gearmand).submit("node", data, timeout=60), messages)
        )
    # Then each caller has the answer to its own
    assert answers == [message[::-1] for message in messages]


def test_the_stock_command_line_client_is_answered(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    make_worker(gearmand)
    done = subprocess.run(
        [program("gearman"), "-h", gearmand.host, "-p", str(gearmand.port), "-f", "node"],
        input=b'{"hpcs_action": "STATS"}',
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b'{"hpcs_action": "STATS"}'


def test_a_job_is_picked_up_without_delay(gearmand: Gearmand, make_worker: MakeWorker) -> None:
    # Given a registered worker and small messages, which Nagle would hold for 40 ms
    worker = make_worker(gearmand)
    until(lambda: worker.registered, "registered")
    took = []
    for _ in range(30):
        began = time.monotonic()
        client(gearmand).submit("node", b"x" * 400, timeout=20)
        took.append(time.monotonic() - began)
    # Then the best third is well below that, whatever else the machine does
    assert sorted(took)[10] < 0.035


@pytest.mark.parametrize("size", [2**20, 4 * 2**20])
def test_megabytes_go_both_ways_unharmed(
    gearmand: Gearmand, make_worker: MakeWorker, size: int
) -> None:
    make_worker(gearmand, handler=lambda job: job.data[::-1])
    data = random.Random(size).randbytes(size)
    answer = client(gearmand).submit("node", data, timeout=60)
    assert hashlib.sha256(answer).digest() == hashlib.sha256(data[::-1]).digest()


@pytest.mark.parametrize("size", [4 * 2**20 + 1, 30 * 2**20])
def test_a_job_over_the_limit_is_answered_and_the_next_one_served(
    gearmand: Gearmand, make_worker: MakeWorker, size: int
) -> None:
    worker = make_worker(gearmand)
    assert client(gearmand).submit("node", bytes(size), timeout=60) == b"too long: %d" % size
    assert client(gearmand).submit("node", b"next", timeout=60) == b"next"
    assert [lane.losses for lane in worker.status().lanes] == [0, 0]


def test_a_handler_that_raises_is_answered_with_an_object(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    def broken(job: Job) -> bytes:
        raise ZeroDivisionError(job.data)

    make_worker(gearmand, handler=broken)
    answer = json.loads(client(gearmand).submit("node", b"{}", timeout=60))
    assert answer == {
        "hpcs_response": "FAIL",
        "hpcs_error": "internal error",
        "hpcs_error_code": "internal_error",
    }


def test_operators_see_each_slot_by_its_name(gearmand: Gearmand, make_worker: MakeWorker) -> None:
    worker = make_worker(gearmand, slots=3, client_id="lb-7.example")
    until(lambda: all(lane.state is LaneState.IDLE for lane in worker.status().lanes), "idle")
    listing = subprocess.run(
        [program("gearadmin"), "-h", gearmand.host, "-p", str(gearmand.port), "--workers"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    for slot in (1, 2, 3):
        assert f"lb-7.example/{slot} : node\n" in listing
    assert admin(gearmand).status()[0].workers == 3
    seen = [line.client_id for line in admin(gearmand).workers() if line.functions == ("node",)]
    assert sorted(seen) == [f"lb-7.example/{slot}" for slot in (1, 2, 3)]
    assert probe(parse_server(gearmand.address)).startswith("1.")


def test_more_slots_open_while_the_others_are_busy(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    # Given two slots that may become four, and jobs that do not end
    released = threading.Event()

    def handler(job: Job) -> bytes:
        if job.data == b"long":
            released.wait(60)
        return job.data

    worker = make_worker(gearmand, slots=2, max_slots=4, handler=handler)
    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(client(gearmand).submit, "node", b"long", timeout=60) for _ in "123"]
        until(lambda: worker.status().busy == 3, "three jobs run")
        # Then a short one is served meanwhile
        assert client(gearmand).submit("node", b"short", timeout=60) == b"short"
        assert len(worker.status().lanes) == 4
        released.set()
        assert [one.result() for one in sent] == [b"long"] * 3


def test_a_background_job_is_done_and_its_unique_key_arrives(
    gearmand: Gearmand, make_worker: MakeWorker
) -> None:
    seen: list[tuple[str, str]] = []
    handle = client(gearmand).background("node", b"later", "key-1")

    def note(job: Job) -> bytes:
        seen.append((job.handle, job.unique))
        return b""

    make_worker(gearmand, handler=note)
    until(lambda: seen, "the job ran")
    assert seen == [(handle, "key-1")]


def test_ipv6_is_served_as_ipv4_is(make_worker: MakeWorker) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with Gearmand("::1") as server:
        make_worker(server)
        assert client(server).submit("node", b"six", timeout=60) == b"six"
        assert probe(parse_server(server.address))


def test_gearman_is_imported_nowhere_else() -> None:
    pattern = re.compile(r"^\s*(import|from) gearman\b", re.MULTILINE)
    importers = [
        str(path.relative_to(REPOSITORY))
        for package in REPOSITORY.glob("libra_*")
        for path in package.rglob("*.py")
        if pattern.search(path.read_text())
    ]
    assert importers
    assert all(path.startswith("libra_common/jobs/") for path in importers)
