"""How a worker starts or does not: pid files, a HAProxy that is missing, detaching, settings."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from libra_common.exits import Exit
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get, serves
from tests.support.wait import until
from tests.support.worker_command import edit, lb, run, slots


def test_a_second_instance_is_refused_by_the_first_ones_pid(node: Node) -> None:
    done = run(node)
    assert done.returncode == Exit.ALREADY_RUNNING
    assert node.process is not None
    assert str(node.process.pid) in done.stderr


def test_a_stale_pid_file_after_a_kill_is_no_obstacle(node: Node) -> None:
    node.kill()
    assert (node.folder / "pid").exists()
    node.start()
    assert node.process is not None
    assert (node.folder / "pid").read_text().strip() == str(node.process.pid)


def test_the_pid_of_a_living_stranger_is_no_obstacle_and_he_lives_on(
    make_node: Callable[..., Node],
) -> None:
    node = make_node(start=False)
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (node.folder / "pid").write_text(f"{stranger.pid}\n")
        node.start()
        assert node.do("DISCOVER").ok
        assert node.stop() == Exit.OK
        assert stranger.poll() is None
        stranger.kill()


def test_a_pid_file_that_holds_something_else_is_refused_and_left_alone(
    make_node: Callable[..., Node],
) -> None:
    node = make_node(start=False)
    (node.folder / "pid").write_text("[worker]\nname = precious\n")
    done = run(node)
    assert done.returncode == Exit.BAD_PIDFILE
    assert str(node.folder / "pid") in done.stderr
    assert "precious" in (node.folder / "pid").read_text()


def test_without_haproxy_there_is_no_start(make_node: Callable[..., Node], folder: Path) -> None:
    node = make_node(start=False, haproxy=str(folder / "none"))
    done = run(node)
    assert done.returncode == Exit.UNAVAILABLE
    assert f"there is no HAProxy to run at {folder / 'none'}" in done.stderr


def test_a_stored_state_that_cannot_be_served_is_no_start_and_is_kept(
    node: Node, a: HttpBackend
) -> None:
    # Given a node whose port was taken by a stranger while it was down
    port = free_port()
    assert node.update(lb(port, a.node())).ok
    # (killed right after the answer: what was acknowledged is never taken back)
    node.kill()
    node.stop_haproxy()
    with HttpBackend("stranger", port):
        # When it is started
        done = run(node)
        # Then it says so and does not claim to be there
        assert done.returncode == Exit.UNAVAILABLE
        assert "Address already in use" in done.stderr
        assert get(port).body == b"stranger"
    # And once the port is free, the keeper serves the stored state even without the worker
    until(lambda: serves(port, b"a"), "it serves", 30)
    node.start()
    assert node.do("STATS").ok


def detached_pid(node: Node) -> int:
    return int((node.folder / "pid").read_text())


def test_detaching_returns_0_once_served_and_registered(
    node: Node, gearmand: Gearmand, a: HttpBackend
) -> None:
    # Given a stored load balancer and nothing running
    port = free_port()
    assert node.update(lb(port, a.node())).ok
    node.stop()
    node.stop_haproxy()
    # When the worker is started as init scripts do
    done = run(node, "--daemon")
    # Then at its return the state is served and gearmand knows the node
    assert done.returncode == Exit.OK, done.stderr
    assert get(port).body == b"a"
    assert slots(gearmand, node)
    os.kill(detached_pid(node), signal.SIGTERM)
    until(lambda: not (node.folder / "pid").exists(), "it ends")


@pytest.mark.timeout(120)
def test_detaching_while_gearmand_is_away_serves_and_returns_75(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a node with a load balancer, whose gearmand is away at the next start
    with Gearmand() as own:
        node = make_node(start=False)
        edit(node, f"servers = {node.servers[0]}", f"servers = {own.address}")
        node.servers = (own.address,)
        node.start()
        port = free_port()
        assert node.update(lb(port, a.node())).ok
        node.stop()
        node.stop_haproxy()
        own.kill()
        # When it is started
        done = run(node, "--daemon")
        # Then it warns by its exit code, and serves
        assert done.returncode == Exit.NOT_READY
        assert "regist" in done.stderr
        assert get(port).body == b"a"
        # And when gearmand comes, it is there
        own.start()
        until(node.registered, "it is registered", 30)
        os.kill(detached_pid(node), signal.SIGTERM)
        until(lambda: not (node.folder / "pid").exists(), "it ends")


def test_settings_are_checked_shown_and_sampled_without_starting_anything(
    make_node: Callable[..., Node],
) -> None:
    node = make_node(start=False)
    assert run(node, "--check-config").returncode == Exit.OK
    assert f"name = {node.name}" in run(node, "--print-config").stdout
    assert "[worker:haproxy]" in run(node, "--generate-sample-config").stdout
    edit(node, "[worker]", "[worker]\nslts = 4")
    done = run(node, "--check-config")
    assert done.returncode == Exit.CONFIG
    assert "slots" in done.stdout + done.stderr
    assert not node.state_dir.exists()
