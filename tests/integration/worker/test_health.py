"""A node's own pages tell monitoring the truth: alive, ready, figures."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libra_common.exits import Exit
from libra_haproxy.errors import HaproxyDown
from libra_haproxy.runtime import Master
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.wait import until

MakeNode = Callable[..., Node]

PORT = free_port()


class _UnixHttp(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def page(node: Node, name: str) -> tuple[int, str]:
    connection = _UnixHttp(node.folder / "health.sock")
    connection.request("GET", f"/{name}")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def ready(node: Node) -> bool:
    return page(node, "readyz")[0] == 200


def check(node: Node, name: str) -> dict[str, Any]:
    checks = json.loads(page(node, "readyz")[1])["checks"]
    return next(one for one in checks if one["name"] == name)


def figures(node: Node) -> dict[str, float]:
    status, text = page(node, "metrics")
    assert status == 200
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def balancer(backend: HttpBackend, **fields: Any) -> dict[str, Any]:
    """A load balancer before `backend`; `fields` are its node's."""
    nodes = [backend.node(id="1", **fields)]
    return {"name": "lb", "protocol": "HTTP", "port": str(PORT), "nodes": nodes}


@pytest.fixture
def told(make_node: MakeNode, folder: Path) -> Node:
    """A node whose pages are served; its HAProxy is a link, which can be taken away."""
    link = folder / "program"
    link.symlink_to(program("haproxy"))
    node = make_node(start=False, haproxy=str(link))
    node.module = ("libra_worker.main", "--worker-health", str(node.folder / "health.sock"))
    return node.start()


def test_it_is_alive_and_ready_once_it_is_registered_and_serves(told: Node, a: HttpBackend) -> None:
    until(lambda: ready(told), "it is ready")
    assert check(told, "haproxy")["detail"] == "there is no load balancer"
    told.update(balancer(a))
    assert page(told, "healthz")[0] == 200
    assert page(told, "elsewhere")[0] == 404
    assert ready(told)
    assert "generation 1 is in force" in check(told, "haproxy")["detail"]


def test_it_is_not_ready_while_gearmand_is_gone_and_is_again_when_it_is_back(
    told: Node, gearmand: Gearmand, a: HttpBackend
) -> None:
    told.update(balancer(a))
    until(lambda: ready(told), "it is ready")
    for gone, back in ((gearmand.kill, gearmand.start), (gearmand.freeze, gearmand.thaw)):
        gone()
        try:
            until(lambda: not ready(told), "it is not ready", 5)
            assert check(told, "gearman")["ok"] is False
            assert check(told, "haproxy")["ok"] is True
            assert page(told, "healthz")[0] == 200  # a restart would mend nothing
        finally:
            back()
        until(lambda: ready(told), "it is ready again", 10)


def test_it_is_not_ready_while_haproxy_is_gone_or_hangs(told: Node, a: HttpBackend) -> None:
    told.update(balancer(a))
    until(lambda: ready(told), "it is ready")

    # When it hangs
    worker = told.worker_pid
    os.kill(worker, signal.SIGSTOP)
    try:
        until(lambda: not ready(told), "it is not ready", 10)
    finally:
        os.kill(worker, signal.SIGCONT)
    until(lambda: ready(told), "it is ready again", 10)

    # When it is gone, and cannot come back
    link, aside = Path(told.haproxy), Path(told.haproxy + ".aside")
    link.rename(aside)
    try:
        os.kill(told.master_pid, signal.SIGKILL)
        until(lambda: not ready(told), "it is not ready", 5)
        assert "does not run" in check(told, "haproxy")["detail"]
    finally:
        aside.rename(link)
    until(lambda: ready(told), "it is ready again", 30)


def test_it_is_not_ready_while_haproxy_serves_another_generation(
    told: Node, a: HttpBackend
) -> None:
    # Given two configurations, the older one put back behind the worker's back
    told.update(balancer(a))
    older = told.config_text()
    told.update({**balancer(a), "algorithm": "LEAST_CONNECTIONS"})
    newer = told.config_text()
    config = told.state_dir / "haproxy.cfg"

    def reload(text: str) -> None:
        config.write_text(text)
        until(reloaded, "the master takes a reload")  # it is deaf while it replaces itself

    def reloaded() -> bool:
        try:
            Master(socket_path=told.run_dir / "master.sock").reload()
        except HaproxyDown:
            return False
        return True

    # When
    reload(older)

    # Then
    until(lambda: not ready(told), "it is not ready", 5)
    assert "another text" in check(told, "haproxy")["detail"]
    reload(newer)
    until(lambda: ready(told), "it is ready again", 5)


def test_figures_tell_jobs_changes_traffic_and_releases(told: Node, a: HttpBackend) -> None:
    # Given jobs that pass, one that fails, and traffic
    told.update(balancer(a))
    told.update(balancer(a, weight="3"))
    told.do("STATS")
    told.do("STATS")
    told.send({"hpcs_action": "UPDATE"})
    told.send({"hpcs_action": "NONESUCH"})
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=10) as answer:
        assert answer.read() == b"a"

    # Then
    until(lambda: figures(told).get('libra_responses_total{class="2xx",frontend="http-in"}'), "it")
    found = figures(told)
    assert found['libra_job_seconds_count{action="UPDATE",result="PASS"}'] == 2
    assert found['libra_job_seconds_count{action="STATS",result="PASS"}'] == 2
    assert found['libra_job_seconds_count{action="UPDATE",result="malformed_message"}'] == 1
    assert found['libra_job_seconds_count{action="none",result="unknown_action"}'] == 1
    assert found['libra_changes_total{way="reload"}'] == 1
    assert found['libra_changes_total{way="runtime"}'] == 1
    assert found["libra_generation"] == 2
    assert found["libra_in_force"] == found["libra_ready"] == 1
    assert found["libra_haproxy_outdated"] == found["libra_haproxy_lingering"] == 0
    assert found['libra_bytes_out_total{frontend="http-in"}'] > 0
    assert abs(found["libra_applied_timestamp_seconds"] - time.time()) < 600


def test_a_place_that_another_serves_is_refused_and_one_of_the_dead_is_taken(
    told: Node, make_node: MakeNode
) -> None:
    until(lambda: ready(told), "it is ready")
    second = make_node(start=False)
    second.module = told.module
    second.start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == Exit.UNAVAILABLE
    assert "another process serves there" in second.said()
    told.kill()
    told.start()
    until(lambda: ready(told), "it is ready")
