"""Nothing lost, nothing twice: logs under traffic, kills and want of room, with a real Swift.

LIBRA_TEST_LINES and LIBRA_TEST_LOG_MB make the slow ones as large as one likes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.archives import local, logs_of, message, paths, stored
from tests.support.members import HttpMembers
from tests.support.need import program
from tests.support.node import Node, submit
from tests.support.numbered import CONNECTIONS, NumberedLoad
from tests.support.ports import free_port
from tests.support.sizes import size
from tests.support.swift import Swift
from tests.support.traffic import get
from tests.support.wait import until

LINES = int(os.environ.get("LIBRA_TEST_LINES", size(100_000, full=1_000_000)))
LOG_MB = int(os.environ.get("LIBRA_TEST_LOG_MB", size(200, full=2048)))
KILLS = size(12, full=50)
MB = 1 << 20


pytestmark = pytest.mark.usefixtures("log_queue")


@pytest.fixture
def members(folder: Path) -> Iterator[HttpMembers]:
    with HttpMembers(folder, ["a"]) as servers:
        yield servers


def balancer(port: int, members: HttpMembers, timeout: int = 30_000) -> dict[str, Any]:
    """One whose every change of `timeout` takes a reload."""
    return {
        "name": "x",
        "protocol": "HTTP",
        "port": port,
        "nodes": [{"address": "127.0.0.1", "port": members.ports["a"]}],
        "options": {"client_timeout": timeout, "connect_timeout": 30_000, "server_timeout": 30_000},
    }


def numbers(lines: bytes) -> list[int]:
    """The numbers that were asked for, each in one line."""
    found = paths(lines)
    assert set(found.values()) <= {1}, "a line is there twice"
    return sorted(int(path[1:]) for path in found)


def send_all(node: Node, archive: dict[str, Any]) -> None:
    """Archive until nothing is left, not even lines of clients that went away in the middle."""
    until(lambda: node.send(archive).answer["lines"] == 0, "nothing is left to send", 60)


def lines_missed(node: Node) -> dict[str, int]:
    missed: dict[str, int] = node.do("STATS").answer["log_lines"]
    return missed


@pytest.mark.parametrize(
    "count", [5_000, pytest.param(LINES, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]
)
def test_each_line_is_in_one_object_through_rotations_reloads_and_archives(
    count: int,
    make_node: Callable[..., Node],
    members: HttpMembers,
    folder: Path,
    swift: Swift,
    container: str,
) -> None:
    # Given traffic of which each request has a number, and logs that are rotated at 1 MiB too
    node = make_node(log_rotate_bytes=MB)
    port, account, turn, objects = free_port(), swift.account(), 0, 0
    assert node.update(balancer(port, members)).ok
    with NumberedLoad(folder, port, count=count) as load:
        # When it is archived again and again meanwhile, with reloads of HAProxy in between
        while load.running:
            result = node.send(message(account, container))
            assert result.ok, result.error
            objects += len(result.answer["objects"])
            turn += 1
            if turn % 4 == 0:
                assert node.update(balancer(port, members, 30_000 + turn)).ok
            time.sleep(0.5)
        answered = load.answered()
    send_all(node, message(account, container))
    # Then each line is in one object, none is missing and none was lost
    found = numbers(stored(swift, container))
    assert lines_missed(node) == {"lost": 0, "dropped": 0}
    assert answered <= len(found) <= answered + CONNECTIONS
    # wrk makes the first request only to look at it.
    assert set(range(2, found[-1] - CONNECTIONS)) <= set(found)
    assert logs_of(node) == []
    print(f"{len(found)} lines in {objects} objects, {turn} archives, {turn // 4} reloads")


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_under_traffic_loses_no_line(
    kills: int,
    node: Node,
    members: HttpMembers,
    folder: Path,
    swift: Swift,
    container: str,
) -> None:
    # Given traffic of which each request has a number
    port = free_port()
    assert node.update(balancer(port, members)).ok
    with NumberedLoad(folder, port, count=1500 * kills, pause=10) as load:
        # When the worker is killed and started again, over and over
        for _ in range(kills):
            node.kill()
            node.start()
            assert node.send(message(swift.account(), container)).ok
        answered = load.answered()
    # Then each line is in one object
    send_all(node, message(swift.account(), container))
    found = numbers(stored(swift, container))
    assert answered <= len(found) <= answered + CONNECTIONS
    assert lines_missed(node)["lost"] == 0


@pytest.mark.parametrize(
    ("place", "times"),
    [
        ("before_upload", 1),
        ("after_upload", 2),
        ("after_unlink", 1),
        pytest.param("after_upload", KILLS, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_a_kill_in_the_middle_of_an_archive_sends_no_line_twice(
    place: str,
    times: int,
    make_node: Callable[..., Node],
    members: HttpMembers,
    swift: Swift,
    container: str,
) -> None:
    # Given a load balancer with lines
    node = make_node()
    port, account, asked = free_port(), swift.account(), 0
    assert node.update(balancer(port, members)).ok
    for _ in range(times):
        node.stop()
        for _ in range(10):
            asked += 1
            get(port, f"/{asked}")
        # When the worker dies at this place of an ARCHIVE, which gearmand then gives to the next
        node.start(crash_at=place)
        client = submit(node, message(account, container))
        until(node.ended, "the worker has died", 60)
        node.start()
        answer, _ = client.communicate(timeout=60)
        assert b'"PASS"' in answer
    assert node.send(message(account, container)).ok
    # Then each line is in one object
    assert numbers(stored(swift, container)) == list(range(1, asked + 1))
    assert logs_of(node) == []


def fill(node: Node, size: int) -> int:
    """Make the log that is there `size` bytes long, with lines of its own kind; says how many."""
    (log,) = logs_of(node)
    line = log.read_bytes()
    count = size // len(line)
    with log.open("ab") as file:
        done = 0
        while done < count:
            some = min(20_000, count - done)
            file.write(
                b"".join(
                    line.replace(b"GET /1 ", b"GET /%d " % number)
                    for number in range(done + 2, done + some + 2)
                )
            )
            done += some
    return count + 1


def peak(pid: int) -> int:
    """The most memory that a process ever had at once, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("segments", [False, True], ids=["one object", "segments"])
def test_a_large_log_takes_no_more_memory_than_a_small_one(
    segments: bool,
    make_node: Callable[..., Node],
    members: HttpMembers,
    swift: Swift,
    container: str,
) -> None:
    # Given a worker, and a log far larger than all of it
    size = 16 * MB if segments else 5 * 1024 * MB
    node = make_node(log_max_bytes=10**11, log_rotate_bytes=10**11, archive={"segment_bytes": size})
    port = free_port()
    assert node.update(balancer(port, members)).ok
    get(port, "/1")
    until(lambda: local(node), "the line is written")
    lines = fill(node, LOG_MB * MB)
    assert node.process is not None
    before = peak(node.process.pid)
    # When it is archived
    result = node.send(message(swift.account(), container), timeout=800)
    # Then the worker has grown by less than 30 MB, what it had to load included
    assert result.ok, result.error
    grown = peak(node.process.pid) - before
    print(f"{LOG_MB} MB: {result.elapsed:.1f} s, {grown / MB:.1f} MB more memory")
    assert result.answer["lines"] == lines
    assert grown < 30_000_000
    # and Swift has all of it
    (name,) = (row["name"] for row in result.answer["objects"])
    head = swift.connection().head_object(container, name)
    assert int(head["content-length"]) == result.answer["bytes"]


def test_logs_are_bounded_and_what_is_dropped_is_told(
    make_node: Callable[..., Node], members: HttpMembers, folder: Path
) -> None:
    # Given a node that keeps 200 kB of logs
    node = make_node(log_max_bytes=200_000, log_rotate_bytes=20_000)
    port = free_port()
    assert node.update(balancer(port, members)).ok
    # When it serves far more than that
    with NumberedLoad(folder, port, count=5_000) as load:
        load.answered()

    def kept() -> int:
        try:
            return sum(path.stat().st_size for path in logs_of(node))
        except FileNotFoundError:  # removed while we looked
            return 10**9

    until(lambda: kept() <= 200_000, "the oldest are gone")
    # Then the newest are there, and STATS, METRICS and the keeper's log tell of the others
    left = numbers(local(node))
    assert left[-1] >= 5_000
    until(lambda: lines_missed(node)["dropped"] >= 5_000 - len(left), "STATS tells of them")
    assert node.do("METRICS").answer["log_lines"]["dropped"] >= 5_000 - len(left)
    assert "removed: too old or too many" in (node.run_dir / "keeper.log").read_text()
    # and a keeper that comes after it knows of them
    os.kill(node.keeper_pid, 9)
    until(lambda: node.ask_keeper("status") is not None, "another keeper is there", 30)
    until(lambda: lines_missed(node)["dropped"] >= 5_000 - len(left), "it tells of them too")


def test_each_line_that_haproxy_could_not_log_is_counted(
    node: Node, members: HttpMembers, folder: Path
) -> None:
    # Given a keeper that takes no line, so that the queue fills up
    port = free_port()
    assert node.update(balancer(port, members)).ok
    keeper = node.keeper_pid
    os.kill(keeper, signal.SIGSTOP)
    try:
        with NumberedLoad(folder, port, count=8_000) as load:
            answered = load.answered()
    finally:
        os.kill(keeper, signal.SIGCONT)
    # When it goes on / Then the lines that are there and those counted as lost are all there were
    until(lambda: lines_missed(node)["lost"], "STATS tells of them")
    until(lambda: lines_missed(node)["lost"] + len(numbers(local(node))) >= answered, "all told")
    assert lines_missed(node)["lost"] + len(numbers(local(node))) <= answered + CONNECTIONS
    assert node.do("METRICS").answer["log_lines"]["lost"] == lines_missed(node)["lost"]


def test_a_full_disk_costs_lines_and_nothing_else(
    make_node: Callable[..., Node], members: HttpMembers, folder: Path
) -> None:
    # Given a node whose logs are on a disk of 400 kB, far less than its settings allow
    node = make_node(start=False, log_rotate_bytes=20_000, log_free_percent=20)
    logs = node.folder / "logs"
    logs.mkdir(parents=True)
    mounted = subprocess.run(
        [program("mount"), "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(logs)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        port = free_port()
        assert node.start().update(balancer(port, members)).ok
        # When it serves more than fits
        with NumberedLoad(folder, port, count=5_000) as load:
            load.answered()
        # Then every request was answered, room is made again, and lost lines are told of
        blocks = os.statvfs(logs).f_blocks
        until(lambda: os.statvfs(logs).f_bavail >= blocks // 6, "a part is free")
        left = len(numbers(local(node)))
        until(lambda: lines_missed(node)["dropped"] >= 5_000 - left, "STATS tells of all")
        # and the lines that come then are written
        get(port, "/123456")
        until(lambda: b"/123456 " in local(node), "the newest is there")
    finally:
        node.close()
        subprocess.run([program("umount"), "-l", str(logs)], check=True)
