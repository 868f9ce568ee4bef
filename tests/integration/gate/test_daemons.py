"""The daemons themselves, with their settings: through the gate, and never in plain text."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_client.client import Client
from libra_common.jobs import AdminClient, JobClient, TlsFiles, parse_server
from tests.support import folders
from tests.support.gate import Gate, Papers
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.pool_manager import PoolManager
from tests.support.wait import until

Daemon = Node | PoolManager
ROTATIONS = 3


@pytest.fixture(name="node")
def _node(gate: Gate) -> Iterator[Node]:
    made = Node(folder=folders.folder(), servers=[str(gate.address)], name="web-1")
    yield made
    made.close()


@pytest.fixture(name="manager")
def _manager(gate: Gate) -> Iterator[PoolManager]:
    with PoolManager(folder=folders.folder(), servers=[str(gate.address)]) as made:
        yield made


def _use_tls(config: Path, tls: TlsFiles) -> None:
    files = f"ssl_key = {tls.key}\nssl_cert = {tls.cert}\nssl_ca = {tls.ca}\n"
    config.write_text(config.read_text().replace("[gearman]\n", f"[gearman]\n{files}"))


def _functions(gearmand: Gearmand) -> set[str]:
    found = AdminClient(server=parse_server(gearmand.address)).status()
    return {one.name for one in found if one.workers}


def test_worker_and_pool_manager_serve_through_the_gate_and_rotate_without_a_lost_job(
    gate: Gate, gearmand: Gearmand, papers: Papers, node: Node, manager: PoolManager
) -> None:
    # Given both, each with its role, and a controller that asks and asks
    _use_tls(node.config, papers.holder("web-1", "node"))
    _use_tls(manager.config, papers.holder("pool-1", "pool"))
    node.start(wait=False)
    manager.start(wait=False)
    until(lambda: _functions(gearmand) == {"web-1", "libra_pool_mgm"}, "both are registered", 60)
    api = papers.holder("api", "controller")
    client = Client([str(gate.address)], tls=api)
    assert client.discover("web-1").ok
    asked = JobClient(servers=[gate.address], tls=api)
    pool = json.loads(asked.submit("libra_pool_mgm", b'{"action": "NONE"}', timeout=30))
    assert pool["response"] == "FAIL"
    answered: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answered.append(client.discover("web-1", timeout=60).ok)
            except Exception:  # noqa: BLE001 - whatever it is, the job is lost
                answered.append(False)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in range(1, ROTATIONS + 1):
            # When all certificates are exchanged
            papers.server()
            papers.holder("web-1", "node")
            papers.holder("pool-1", "pool")
            gate.reload()
            for daemon in (node, manager):
                assert daemon.process is not None
                daemon.process.send_signal(signal.SIGHUP)
            until(lambda n=number: _reloads(node) == _reloads(manager) == n, "both reloaded")  # type: ignore[misc]
            before = len(answered)
            until(lambda b=before: len(answered) > b + 3, "jobs go on", 60)  # type: ignore[misc]
    finally:
        stop.set()
        asking.join()
    # Then no job is lost
    assert all(answered)
    assert "NOT_ALLOWED" not in node.log.read_text() + manager.log.read_text()


def _reloads(daemon: Daemon) -> int:
    return daemon.log.read_text().count("daemon reloaded\n")


def test_asked_for_tls_worker_and_pool_manager_never_register_in_plain_text(
    gearmand: Gearmand, papers: Papers, node: Node, manager: PoolManager
) -> None:
    # Given both with TLS asked for, and a gearmand that speaks plain text
    for daemon, role in ((node, "node"), (manager, "pool")):
        daemon.servers = (gearmand.address,)
        daemon.write_config()
        _use_tls(daemon.config, papers.holder("web-1", role))
        daemon.start(wait=False)
    # When they have tried, more than once
    for daemon in (node, manager):
        until(lambda d=daemon: _losses(d) > 0, "it has tried", 60)  # type: ignore[misc]
        assert not daemon.ended()
    # Then gearmand knows nobody, and both try on
    assert _functions(gearmand) == set()
    found = AdminClient(server=parse_server(gearmand.address)).workers()
    assert all(line.client_id == "-" for line in found)


def _losses(daemon: Daemon) -> int:
    return daemon.log.read_text().count("lost gearman server") if daemon.log.exists() else 0
