"""HAProxy's package is updated: the new one takes over, and no client notices."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.backends import HttpBackend
from tests.support.haproxies import HAPROXIES
from tests.support.load import getting
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.wait import until

MakeNode = Callable[..., Node]


def release(node: Node) -> str:
    return node.haproxy_worker.ask("show version").strip()


@pytest.mark.parametrize("when", ["now", "hand"])
def test_an_updated_haproxy_takes_over_under_traffic_without_a_lost_request(
    make_node: MakeNode, folder: Path, a: HttpBackend, when: str
) -> None:
    # Given a node on one release, under traffic
    old, new = (one.path() for one in HAPROXIES)
    link = folder / "program"
    link.symlink_to(old)
    node = make_node(start=False, haproxy=str(link), renewal=when).start()
    port = free_port()
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node()]}).ok
    before = release(node)
    with getting(port, {b"a"}) as clients:
        # When another release is installed in its place
        (folder / "new").symlink_to(new)
        (folder / "new").rename(link)
        if when == "hand":
            until(lambda: "has it take over" in node.said(), "it is told", 30)
            assert release(node) == before
            assert node.process is not None
            os.kill(node.process.pid, signal.SIGHUP)

        # Then it takes over
        until(lambda: release(node) != before, "the new one serves", 60)
        until(lambda: "has taken over from" in node.said(), "it is told", 30)
    assert clients.tally.failures == []
    assert clients.tally.done > 10
    assert node.do("STATS").ok
    assert node.update({"protocol": "HTTP", "port": port, "nodes": [a.node(weight="2")]}).ok
