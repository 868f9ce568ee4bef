"""An amphora agent goes to this release and back to the one before, under traffic."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest
import trustme

from tests.integration.amphora.test_certificates import (
    BASE,
    CERTIFICATES,
    pair,
    put,
    reload,
    sha1_name,
    shown,
)
from tests.support import folders, wait
from tests.support.agent_pair import agent_pair, topology
from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.backends import HttpBackend
from tests.support.load import getting
from tests.support.octavia import Node
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
    OTHER_LISTENER,
    Proxy,
    configuration,
)
from tests.support.ports import free_port
from tests.support.previous import Previous

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

OTHER_POOL = "1e7b1a4c-4a2f-4c6e-8a5f-2f6f0d1d8b11"


@pytest.fixture
def agent(previous: Previous) -> Iterator[Amphora]:
    """One of the release before."""
    folder = folders.folder()
    key = folder / "node.key"
    key.write_bytes(os.urandom(32))
    with Amphora(folder=folder, node_key=key) as made:
        made.prefix = previous.prefix
        yield made.start()


def give_to(agent: Amphora, *prefix: str) -> None:
    """Stop the agent that there is, and start this release's, or that of `prefix`."""
    assert agent.stop() == 0
    agent.prefix = prefix
    agent.start()


def known(agent: Amphora, *certificates: str) -> dict[str, Any]:
    """What an agent says of what it has."""
    paths = [
        f"/1.0/loadbalancer/{BALANCER}/haproxy",
        "/1.0/listeners",
        *(f"{CERTIFICATES}/{name}" for name in certificates),
    ]
    found = {}
    for path in paths:
        reply = agent.call("GET", path)
        assert reply.status == 200, (path, reply)
        found[path] = reply.body
    return found


def test_text_certificates_and_traffic_are_those_of_before_each_way(
    agent: Amphora, previous: Previous
) -> None:
    # Given a listener with TLS and one without, by the release before, and clients that go on
    ca, tls, plain = trustme.CA(), free_port(), free_port()
    names = []
    for host in ("one.example", "two.example"):
        key, certificate = pair(ca, host)
        names.append(sha1_name(certificate))
        assert put(agent, names[-1], certificate + key)[0] == 201
    assert put(agent, f"{LISTENER}.pem", f"{BASE}/{names[0]}\n".encode())[0] == 201

    def configure(weight: int) -> None:
        member = {MEMBERS[0]: backend.port}
        bind = f"ssl crt-list {BASE}/{LISTENER}.pem"
        text = configuration(
            Proxy(port=tls, members=member, bind=bind, weights={MEMBERS[0]: weight}),
            Proxy(port=plain, members=member, id=OTHER_LISTENER, pool=OTHER_POOL),
        )
        path = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
        assert agent.call("PUT", path, text).status == 201
        assert reload(agent) == 202

    with HttpBackend("member") as backend:
        configure(1)
        shown(tls, "one.example", ca)
        (master,) = agent.masters()
        with getting(plain, {b"member"}) as client:
            for weight, prefix in enumerate(((), previous.prefix), 2):
                before = known(agent, *names)
                # When another release's agent takes over / Then all is there and served
                give_to(agent, *prefix)
                assert known(agent, *names) == before
                assert shown(tls, "one.example", ca) == "one.example"
                # And it takes changes, of certificates too
                configure(weight)
                key, certificate = pair(ca, "one.example")
                assert put(agent, names[0], certificate + key)[0] == 201
                assert reload(agent) == 202
                assert shown(tls, "one.example", ca) == "one.example"
            assert agent.masters() == [master]
        assert client.tally.failures == []
        assert client.tally.done
    # And what was deleted is so for the others
    assert agent.call("DELETE", f"/1.0/listeners/{BALANCER}").status == 200
    give_to(agent)
    assert agent.call("GET", "/1.0/listeners").body == []


def same(before: list[dict[str, Any]], nodes: Iterable[Node]) -> bool:
    return [topology(node) for node in nodes] == before


def keepalived(node: Node) -> list[int]:
    return sorted(node.pids(b"keepalived", b"/usr/sbin/keepalived"))


def test_a_pair_shares_its_address_each_way(previous: Previous) -> None:
    with agent_pair() as both:
        first, second = both.nodes

        def give_both(*prefix: str) -> None:
            for node in both.nodes:
                give_to(node, *prefix)

        # Given two agents that share an address
        both.serve()
        both.pair()
        wait.until(lambda: len(both.holders()) == 1 and both.answer(), "one has the address", 60)
        holders = both.holders()
        running = keepalived(first), keepalived(second)
        for prefix in (previous.prefix, ()):
            before = [topology(node) for node in both.nodes]
            give_both(*prefix)
            # Then those of the other release know the pair, and nobody has lost the address
            known_again = partial(same, before, both.nodes)
            wait.until(known_again, "it is known", 30)
            assert both.holders() == holders
            assert both.answer() == "member"
            assert (keepalived(first), keepalived(second)) == running
