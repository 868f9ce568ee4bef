"""A node goes to this release and back to the one before, and its clients see nothing of it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from libra_haproxy.certificates import Bundle
from libra_haproxy.model import Model
from libra_haproxy.runtime import Master
from tests.integration.worker.test_metrics import Clients, added_headers, both, metrics, one
from tests.integration.worker.test_tls import NAME, https, leaf
from tests.support import folders
from tests.support.backends import EchoBackend, HttpBackend
from tests.support.certificates import bundle
from tests.support.engine import Engine
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.previous import Previous
from tests.support.traffic import refused, serves
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def node(gearmand: Gearmand, previous: Previous) -> Iterator[Node]:
    """One that the release before has begun to serve."""
    with Node(
        folder=folders.folder(),
        servers=[gearmand.address],
        name=f"node{free_port()}",
        prefix=previous.prefix,
    ) as made:
        yield made.start()


def give_to(node: Node, *prefix: str) -> None:
    """Stop the worker that there is, and start this release's, or that of `prefix`."""
    assert node.stop() == 0
    node.prefix = prefix
    node.start()


def known(node: Node) -> dict[str, Any]:
    """What a node says of what it serves."""
    stats, history = node.do("STATS"), node.do("HISTORY")
    assert stats.ok, stats.error
    assert history.ok, history.error
    said = {name: stats.answer[name] for name in ("lb_status", "nodes")}
    return {**said, "history": history.answer["history"]}


def leaving(node: Node) -> int:
    """How many processes a reload has replaced that still have connections."""
    return len(Master(socket_path=node.run_dir / "master.sock").processes().old_workers)


def change_keeper(node: Node) -> int:
    """Have the keeper replaced as docs/operations.md says; gives the pid of the new one."""
    old, master = node.keeper_pid, node.master_pid
    until(lambda: not leaving(node), "no process is leaving any more", 60)
    os.kill(old, signal.SIGKILL)
    until(lambda: (node.ask_keeper("status") or {"keeper": old})["keeper"] != old, "another keeper")
    assert node.master_pid == master
    return node.keeper_pid


def test_under_traffic_nothing_is_lost_on_the_way_and_back_and_every_byte_is_counted_once(
    node: Node, previous: Previous
) -> None:
    # Given a load balancer of two generations, by the release before, and clients that go on
    ports = free_port(), free_port()
    with HttpBackend("a") as a, EchoBackend() as echo:

        def update(generation: int) -> Any:
            return node.update(*both(ports, a, echo, generation), generation=generation)

        for generation in (1, 2):
            assert update(generation).ok
        clients = Clients(ports)
        longer, ack = added_headers(node, clients), 0
        reported = {"http": 0, "tcp": 0}

        def poll() -> None:
            nonlocal ack
            answer = metrics(node, ack=ack)
            assert answer["after"] == ack
            ack = answer["report"]
            for balancer in answer["loadBalancers"]:
                reported[balancer["protocol"]] += balancer["bytes_out"]

        with clients.busy():
            poll()
            for generation, prefix in ((3, ()), (5, previous.prefix)):
                # When another release's worker takes over
                before, master = known(node), node.master_pid
                give_to(node, *prefix)
                # Then it knows all that there was
                assert known(node) == before
                assert node.master_pid == master
                # And a sender that is late
                assert update(generation - 2).error_code == "stale_generation"
                # And it takes changes
                assert update(generation).ok
                assert known(node)["history"][1:] == before["history"][:4]
                poll()
                # And so with the keeper
                assert previous.runs(change_keeper(node)) == bool(prefix)
                assert update(generation + 1).ok
                assert known(node)["history"][0]["generation"] == generation + 1
                poll()
            assert node.master_pid == master
        # And with the load at its end, it was counted to the byte
        expected = {
            "http": clients.bytes["http"] - longer * clients.requests,
            "tcp": clients.bytes["tcp"],
        }

        def counted() -> bool:
            last = metrics(node, ack=0)
            return bool(
                one(last, "http")["bytes_out"] >= expected["http"]
                and one(last, "tcp")["bytes_out"] >= expected["tcp"]
                and one(last, "tcp")["sessions"] >= clients.connections
            )

        until(counted, "everything is counted", 60)
        poll()
        totals = {of["protocol"]: of["totals"] for of in metrics(node)["loadBalancers"]}
    assert reported == expected
    assert {name: total["bytes_out"] for name, total in totals.items()} == expected
    assert totals["http"]["requests"]["2xx"] == clients.requests
    assert totals["tcp"]["sessions"] == clients.connections


def test_what_was_suspended_stays_so_and_what_was_deleted_too_over_a_reboot_each_way(
    node: Node, previous: Previous
) -> None:
    port = free_port()
    with HttpBackend("a") as a:
        balancer = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
        # Given one that is suspended
        assert node.update(balancer).ok
        assert node.do("SUSPEND").ok
        # When the machine starts anew with the other release, each way
        for prefix in ((), previous.prefix):
            node.stop_haproxy()
            give_to(node, *prefix)
            # Then it is suspended, by whoever looks
            assert node.do("STATS").answer["lb_status"] == "SUSPENDED"
            assert refused(port)
            # And serves as before when that is at an end
            assert node.do("ENABLE").ok
            assert serves(port, b"a")
            assert node.do("SUSPEND").ok
        # And one that was deleted stays that
        assert node.do("DELETE").ok
        give_to(node)
        assert node.do("STATS").error_code == "deleted"
        assert node.do("DELETE").ok
        assert not node.pids()
        # Until there is another
        assert node.update(balancer).ok
        assert serves(port, b"a")


def test_a_listener_that_ends_tls_has_its_certificates_each_way(previous: Previous) -> None:
    folder = folders.folder()
    port, first, second, third = free_port(), bundle(NAME), bundle(NAME), bundle(NAME)
    with HttpBackend("a") as a, Engine(folder) as engine:

        def before(wanted: Model, *bundles: Bundle) -> None:
            """Have the release before bring something into force."""
            engine.instance.close()
            files = [folder / f"door{number}" for number in range(len(bundles) + 1)]
            files[0].write_bytes(pickle.dumps(wanted))
            for file, one_bundle in zip(files[1:], bundles, strict=True):
                file.write_text(one_bundle.pem)
            command = [*previous.prefix, sys.executable, "-m", "tests.support.engine"]
            command += [str(folder), engine.node.haproxy, *map(str, files)]
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr.decode()
            engine.reopen()

        # Given one of the release before / Then this one serves it
        before(https(port, first, a), first)
        assert leaf(port) == first.certificate.leaf
        # When it gets another / Then the release before serves that one, and gives it a third
        engine.instance.apply(https(port, second, a), certificates=[second])
        before(https(port, second, a))
        assert leaf(port) == second.certificate.leaf
        before(https(port, third, a), third)
        assert leaf(port) == third.certificate.leaf
        # And this one knows all three
        kept = [entry.model.load_balancers[0].tls for entry in engine.instance.history()]
        assert [tls.certificate for tls in kept if tls] == [
            one_of.certificate for one_of in (third, second, first)
        ]
        assert engine.node.config_passes()
