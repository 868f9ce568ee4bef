"""Parts that are missing, hung, broken or lying: a clear FAIL in time, the old state serving."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from libra_haproxy.history import WENT_BACK
from tests.support.backends import HttpBackend
from tests.support.need import missing, program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get, serves
from tests.support.wait import until

ANSWER_IN = 5.0  # seconds, by the worker's own clock in its log; the caller's is the machine's


def lb(port: int, *nodes: dict[str, object]) -> dict[str, object]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes)}


def by_reload(port: int, *nodes: dict[str, object]) -> dict[str, object]:
    """The same, with a change that no running process can take over."""
    return {**lb(port, *nodes), "options": {"client_timeout": 12_345}}


def script(folder: Path, text: str) -> str:
    """A program that stands where HAProxy is expected."""
    path = folder / "haproxy"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_haproxy_that_is_missing_is_said_to_be_missing(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a node with a load balancer, whose HAProxy binary then goes away
    binary = folder / "haproxy"
    shutil.copy(program("haproxy"), binary)
    node, port = make_node(haproxy=str(binary)), free_port()
    assert node.update(lb(port, a.node())).ok
    binary.unlink()
    # When an UPDATE comes
    result = node.update(by_reload(port, a.node()))
    # Then it fails by name, and the running one goes on
    assert result.error_code == "haproxy_missing"
    assert str(binary) in (result.error or "")
    assert get(port).body == b"a"
    assert node.config_passes()


def test_a_haproxy_that_hangs_in_its_check_is_said_to_hang(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    node = make_node(haproxy=script(folder, "exec sleep 60"))
    result = node.update(lb(free_port(), a.node()))
    assert result.error_code == "haproxy_timeout"
    assert not node.pids()


def test_a_haproxy_that_hangs_fails_in_time_and_is_never_doubled(
    node: Node, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a HAProxy that is stopped, master and worker
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    pids = node.pids()
    master, worker = node.master_pid, node.worker_pid
    for pid in (worker, master):
        os.kill(pid, signal.SIGSTOP)
    # When jobs come
    results = {action: node.do(action) for action in ("STATS", "SUSPEND", "DIAGNOSTICS")}
    results["UPDATE"] = node.update(lb(port, b.node(id=2)))
    # Then each fails by name within its time, and no second HAProxy was started
    for action in ("STATS", "SUSPEND", "UPDATE"):
        assert results[action].error_code == "haproxy_timeout", action
        assert results[action].elapsed < 3 * ANSWER_IN
    assert results["DIAGNOSTICS"].answer["haproxy"]["status"] == "FAIL"
    assert sorted(node.pids()) == sorted(pids)
    # And when it goes on, the old state serves and the next UPDATE passes
    for pid in (master, worker):
        os.kill(pid, signal.SIGCONT)
    assert get(port).body == b"a"
    assert node.update(lb(port, b.node(id=2))).ok
    assert get(port).body == b"b"


def test_reads_do_not_wait_for_a_change_that_hangs(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given an UPDATE that hangs in haproxy -c for seconds
    binary = script(
        folder, f'[ "$1" = -c ] && [ -e {folder}/hang ] && sleep 60\nexec {program("haproxy")} "$@"'
    )
    node, port = make_node(haproxy=binary), free_port()
    assert node.update(lb(port, a.node())).ok
    (folder / "hang").touch()
    results = []
    change = threading.Thread(target=lambda: results.append(node.update(by_reload(port, a.node()))))
    change.start()
    until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "the change is being checked")
    # When reads come
    get(port)
    for action in ("STATS", "DISCOVER", "DIAGNOSTICS", "HISTORY"):
        assert node.do(action).ok
    until(lambda: node.do("METRICS").answer["loadBalancers"][0]["totals"]["sessions"], "counted")
    # Then they were answered while the change was under way
    assert change.is_alive()
    change.join(60)
    assert results[0].error_code == "haproxy_timeout"
    assert get(port).body == b"a"


def test_a_file_that_is_refused_after_a_change_at_run_time_is_gone_back_from(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a HAProxy that serves a node and refuses to check a file with it
    place = f"{b.host}:{b.port}"
    refuse = "echo '[ALERT]    (1) : config : not this one' >&2; exit 1"
    node = make_node(
        haproxy=script(
            folder,
            f'[ "$1" = -c ] && grep -q "{place}" "$3" && {{ {refuse}; }}\n'
            f'exec {program("haproxy")} "$@"',
        )
    )
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    pid = node.worker_pid
    # When it is added, which needs no reload
    assert node.update(lb(port, a.node(id=1), b.node(id=2))).ok
    # Then the load balancer is soon back at what HAProxy accepts, by a reload, and says so
    until(lambda: _went_back(node), "the history tells of it")
    assert node.worker_pid != pid
    assert {get(port).body for _ in range(4)} == {b"a"}
    assert [of["id"] for of in node.do("STATS").answer["nodes"]] == [1]
    assert place not in node.config_text()
    assert "CRITICAL" in node.said()
    assert "not this one" in node.said()
    # And nothing is changed at run time any more, until somebody has looked
    pid = node.worker_pid
    assert node.update(lb(port, a.node(id=1, weight=2))).ok
    assert node.worker_pid != pid
    # But by a daemon that starts anew
    node.stop()
    node.start()
    pid = node.worker_pid
    assert node.update(lb(port, a.node(id=1, weight=3))).ok
    assert node.worker_pid == pid


def _went_back(node: Node) -> bool:
    newest = node.do("HISTORY").answer["history"][0]
    return bool(newest["reason"] == WENT_BACK)


def test_a_configuration_that_haproxy_refuses_is_told_in_its_words(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a HAProxy that refuses everything
    node = make_node(
        haproxy=script(folder, "echo '[ALERT]    (1) : config : I do not like it' >&2; exit 1")
    )
    result = node.update(lb(free_port(), a.node()))
    assert result.error_code == "config_refused"
    assert "I do not like it" in (result.error or "")
    assert node.do("STATS").error_code == "no_load_balancer"


def test_a_haproxy_that_passes_its_check_and_does_not_start_leaves_nothing(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a HAProxy that checks well and dies at its start
    binary = script(
        folder,
        f'[ "$1" = -c ] && exec {program("haproxy")} "$@"\n'
        "echo '[ALERT]    (1) : no room on this ship' >&2; exit 1",
    )
    node = make_node(haproxy=binary)
    # When the first UPDATE comes
    result = node.update(lb(free_port(), a.node()))
    # Then it fails with HAProxy's words, and there is no load balancer
    assert result.error_code == "start_failed"
    assert "no room on this ship" in (result.error or "")
    assert node.do("STATS").error_code == "no_load_balancer"
    assert not node.pids()


def test_a_reload_that_fails_puts_the_last_good_back(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a check that takes until a stranger has settled on the new port, so that the port was
    # free when it was looked at and is taken when HAProxy wants it
    folder.chmod(0o777)
    binary = script(
        folder,
        f'if [ "$1" = -c ] && [ -e {folder}/armed ]; then\n'
        f"  touch {folder}/checking; while [ ! -e {folder}/taken ]; do sleep 0.02; done\n"
        f'fi\nexec {program("haproxy")} "$@"',
    )
    node, port, wanted = make_node(haproxy=binary), free_port(), free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    text = node.config_text()
    (folder / "armed").touch()
    results = []
    tcp = {"protocol": "TCP", "port": wanted, "nodes": [b.node(id=2)]}
    change = threading.Thread(
        target=lambda: results.append(node.update(lb(port, a.node(id=1)), tcp))
    )
    # When HAProxy is reloaded onto that port
    change.start()
    until(lambda: (folder / "checking").exists(), "the check is under way")
    with HttpBackend("stranger", wanted):
        (folder / "taken").touch()
        change.join(60)
    # Then it fails in HAProxy's own words, and the last good is on disk and in force
    assert results[0].error_code == "port_taken"
    assert "HAProxy refused the reload" in (results[0].error or "")
    assert node.config_text() == text
    assert get(port).body == b"a"
    # And the same change passes once the port is free
    assert node.update(lb(port, a.node(id=1)), tcp).ok


def test_an_engine_that_lies_does_not_pass(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a HAProxy that checks the file it is given and runs another: weights are changed
    binary = script(
        folder,
        f'[ "$1" = -c ] && exec {program("haproxy")} "$@"\n'
        "for last; do true; done\n"
        f'sed "s/weight 7/weight 8/" "$last" > {folder}/lie.cfg\n'
        f'exec {program("haproxy")} -W -S "$3" -f {folder}/lie.cfg',
    )
    folder.chmod(0o777)
    node, port = make_node(haproxy=binary), free_port()
    # When the message says weight 7
    result = node.update(lb(port, a.node(id=1, weight=7)))
    # Then it is not said to be in force
    assert result.error_code == "not_in_force"
    assert "weight 8" in (result.error or "")
    assert "weight 7" in (result.error or "")


def test_too_few_files_are_refused_before_anything_changes(
    make_node: Callable[..., Node], a: HttpBackend
) -> None:
    # Given a node that may open few files, serving
    if os.geteuid() == 0:
        prefix = [program("prlimit"), "--nofile=400:400"]
    else:
        prefix = [program("prlimit"), "--nofile=400"]
    node, port = make_node(prefix=prefix), free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    text = node.config_text()
    # When an UPDATE has more nodes than fit
    nodes = [{"address": f"127.0.1.{n}", "port": 80} for n in range(1, 200)]
    result = node.update(lb(port, a.node(id=1), *nodes))
    # Then it is refused by that name, and the old state serves
    assert result.error_code == "too_few_files"
    assert "400" in (result.error or "")
    assert node.config_text() == text
    assert get(port).body == b"a"
    # And what fits still passes
    assert node.update(lb(port, a.node(id=1), *nodes[:50])).ok


def test_a_full_disk_fails_and_the_old_state_serves(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a node whose state is on a small disk of its own
    state = folder / "disk"
    state.mkdir()
    if os.geteuid() != 0:
        missing("a file system of the test's own needs root")
    mounted = subprocess.run(
        [program("mount"), "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(state)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        state.chmod(0o755)
        node, port = make_node(start=False), free_port()
        text = node.config.read_text().replace(str(node.state_dir), str(state / "state"))
        node.config.write_text(text)
        node.state_dir = state / "state"
        node.start()
        assert node.update(lb(port, a.node(id=1))).ok
        before = node.config_text()
        # When it is full and an UPDATE comes
        _fill(state / "ballast")
        result = node.update(lb(port, a.node(id=1, weight=3)))
        # Then it fails by that name and the old state serves
        assert result.error_code == "disk_error"
        assert "No space" in (result.error or "")
        assert node.config_text() == before
        assert get(port).body == b"a"
        # And when there is room again, the next one passes
        (state / "ballast").unlink()
        assert node.update(lb(port, a.node(id=1, weight=3))).ok
        node.close()
    finally:
        subprocess.run([program("umount"), "-l", str(state)], check=False)


@pytest.mark.parametrize("whom", ["worker", "master"])
def test_a_haproxy_that_is_killed_serves_again_within_a_second(
    node: Node, a: HttpBackend, whom: str
) -> None:
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    master = node.master_pid
    # When it is killed
    os.kill(node.worker_pid if whom == "worker" else master, signal.SIGKILL)
    # Then the keeper has another one serve
    until(lambda: node.master_pid not in (0, master) and serves(port, b"a"), "it serves again")
    # And it is said in the log and counted
    until(lambda: "HAProxy died 1 time(s)" in node.said(), "the worker says so")
    until(lambda: _restarts(node) == 1, "it is counted")
    assert node.do("STATS").ok


def test_a_keeper_that_is_killed_disturbs_nobody_and_is_replaced(
    node: Node, a: HttpBackend
) -> None:
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    keeper, worker = node.keeper_pid, node.worker_pid
    # When the keeper is killed
    os.kill(keeper, signal.SIGKILL)
    # Then traffic goes on, and at the worker's next look a new keeper adopts HAProxy
    assert get(port).body == b"a"
    until(lambda: node.ask_keeper("status") is not None, "there is a keeper again", 30)
    assert node.worker_pid == worker
    until(lambda: f"keeper {keeper} is gone" in node.said(), "the worker says so")
    until(lambda: _restarts(node) == 1, "it is counted")
    # And the new one does its duty
    master = node.master_pid
    os.kill(master, signal.SIGKILL)
    until(lambda: node.master_pid not in (0, master) and serves(port, b"a"), "it serves again")
    assert node.update(lb(port, a.node(id=1, weight=2))).ok


def test_keeper_and_haproxy_killed_together_come_back(node: Node, a: HttpBackend) -> None:
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    for pid in (node.keeper_pid, node.master_pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: serves(port, b"a"), "it serves again", 30)


def test_a_damaged_state_stops_the_start_and_leaves_haproxy_alone(
    node: Node, a: HttpBackend
) -> None:
    port = free_port()
    assert node.update(lb(port, a.node(id=1))).ok
    node.kill()
    state = node.state_dir / "state.json"
    for damage, words in ((b"{", "damaged"), (b'{"schema": 99, "state": {}}', "schema 99")):
        state.write_bytes(damage)
        # When the worker starts
        node.start(wait=False)
        until(node.ended, "the worker ends")
        # Then it says why, changes nothing, and traffic goes on
        assert words in node.said()
        assert state.read_bytes() == damage
        assert get(port).body == b"a"


def test_hung_answers_come_before_a_caller_gives_up(node: Node, a: HttpBackend) -> None:
    assert node.update(lb(free_port(), a.node(id=1))).ok
    os.kill(node.worker_pid, signal.SIGSTOP)
    began = time.monotonic()
    assert node.do("STATS").error_code == "haproxy_timeout"
    assert time.monotonic() - began < 3 * ANSWER_IN


def _fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))


def _restarts(node: Node) -> int:
    return int(node.do("DIAGNOSTICS").answer["haproxy"]["restarts"])
