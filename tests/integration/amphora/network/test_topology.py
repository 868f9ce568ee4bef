"""POST topology on two live agents: one address, two nodes, real keepalived, real traffic."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import netns, wait
from tests.support.agent_pair import SECRET, AgentPair, agent_pair, call, settled, topology
from tests.support.octavia import VIP, Node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def pair() -> Iterator[AgentPair]:
    with agent_pair() as made:
        yield made


def moves(pair: AgentPair, *, to: Node) -> None:
    """The address goes to one node, which serves; both say so."""
    wait.until(lambda: pair.holders() == [to.number], "the address has moved", 30)
    roles = ["STANDBY", "STANDBY"]
    roles[to.number] = "ACTIVE"
    assert pair.roles() == roles
    wait.until(lambda: pair.answer() == "member", "clients are served", 10)


def until_settled(*nodes: Node) -> None:
    """Wait until no change of topology is under way."""
    wait.until(lambda: all(map(settled, nodes)), "the topology is in force", 30)


def keepalived(node: Node) -> list[int]:
    """The pids of its keepalived, parent and child."""
    return sorted(node.pids(b"keepalived", b"/usr/sbin/keepalived"))


def kill(pids: list[int]) -> None:
    """All at once: none can clean up after another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def test_two_nodes_share_an_address_fail_over_and_are_single_again(pair: AgentPair) -> None:
    first, second = pair.nodes
    # Given two nodes that both serve, each for itself
    pair.serve()
    assert [topology(node)["topology"] for node in pair.nodes] == ["SINGLE", "SINGLE"]
    # When a controller pairs them
    assert call(first, "POST", "/v0.1/topology", json_body=pair.wish("ACTIVE")) == (
        202,
        {"message": "OK"},
    )
    # Then it is told until it is in force, and nothing else is changed meanwhile
    assert first.local("GET", "/1.0/details").body["topology_status"] == "TOPOLOGY-CHANGE"
    refused = (503, {"message": "Topology transition in progress"})
    assert call(first, "POST", "/v0.1/topology", json_body=pair.wish("ACTIVE")) == refused
    assert call(first, "PUT", "/1.0/vrrp/stop") == refused
    assert call(second, "POST", "/1.0/topology", json_body=pair.wish("STANDBY"))[0] == 202
    until_settled(first, second)
    # And the active one has the address, and serves
    moves(pair, to=first)
    found = topology(second)
    assert (found["topology"], found["role"], found["ha_ip"]) == ("ACTIVE-STANDBY", "STANDBY", VIP)
    assert first.local("GET", "/1.0/details").body["active"] is True
    assert second.local("GET", "/1.0/details").body["active"] is False
    # When the active one's keepalived is killed
    killed = keepalived(first)
    assert killed
    kill(killed)
    # Then the other has it, and keeps it when keepalived is back
    moves(pair, to=second)
    wait.until(lambda: keepalived(first), "keepalived is started again", 30)
    assert not set(keepalived(first)) & set(killed)
    # When the other one's keepalived is stopped
    assert call(second, "PUT", "/1.0/vrrp/stop")[0] == 202
    # Then the first has it again
    moves(pair, to=first)
    assert call(second, "PUT", "/1.0/vrrp/start")[0] == 202
    moves(pair, to=first)
    # When the first is made single, the second going out of service
    assert call(second, "PUT", "/1.0/vrrp/stop")[0] == 202
    assert call(first, "POST", "/v0.1/topology", json_body={"topology": "SINGLE"})[0] == 202
    until_settled(first)
    # Then it serves by itself, without keepalived
    found = topology(first)
    assert (found["topology"], found["role"], found["ha_ip"]) == ("SINGLE", "ACTIVE", "")
    assert not keepalived(first)
    assert pair.holders() == [first.number]
    wait.until(lambda: pair.answer() == "member", "clients are served", 10)


def test_address_moves_when_the_active_ones_haproxy_is_gone(pair: AgentPair) -> None:
    first, second = pair.nodes
    pair.serve()
    pair.pair()
    moves(pair, to=first)
    # When its HAProxy hangs: it neither answers nor ends
    for pid in first.pids(b"-W"):
        os.kill(pid, signal.SIGSTOP)
    # Then the other serves
    moves(pair, to=second)


def test_secret_goes_nowhere_but_to_keepalived(pair: AgentPair) -> None:
    pair.pair()
    for node in pair.nodes:
        assert SECRET not in node.said()
        assert SECRET not in str(node.local("GET", "/1.0/details").body)
        assert SECRET not in str(topology(node))
        written = [path for path in node.folder.rglob("*") if path.is_file()]
        assert not [path for path in written if SECRET.encode() in path.read_bytes()]
        for pid in keepalived(node):
            assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_other_secret_is_another_pair(pair: AgentPair) -> None:
    # Given two nodes whose secrets differ
    first, second = pair.nodes
    for node, more in ((first, {}), (second, {"secret": "another"})):
        wish = pair.wish("ACTIVE", **more)
        assert call(node, "POST", "/v0.1/topology", json_body=wish)[0] == 202
    until_settled(first, second)
    # Then neither believes the other, and both have the address
    wait.until(lambda: pair.holders() == [0, 1], "each takes the address", 30)


@pytest.mark.parametrize("order", ["the active one first", "the standby first"])
def test_roles_are_exchanged_whatever_comes_first(pair: AgentPair, order: str) -> None:
    first, second = pair.nodes
    pair.serve()
    pair.pair()
    moves(pair, to=first)
    # When their controller exchanges the roles
    wishes = [(second, "ACTIVE"), (first, "STANDBY")]
    for node, role in wishes if order == "the active one first" else reversed(wishes):
        assert call(node, "POST", "/v0.1/topology", json_body=pair.wish(role))[0] == 202
        until_settled(node)
    # Then they are so
    moves(pair, to=second)
    # And neither takes the address back: not by itself, and not when it comes back
    assert all("nopreempt" in (n.run_dir / "vrrp/keepalived.conf").read_text() for n in pair.nodes)


@pytest.mark.parametrize("place", ["topology_uploaded", "topology_laid_out", "topology_decided"])
def test_agent_killed_while_it_is_paired_ends_up_paired(pair: AgentPair, place: str) -> None:
    node = pair.nodes[0]
    # Given an agent that is killed at some step
    assert node.stop() == 0
    node.start(crash_at=place)
    assert call(node, "POST", "/v0.1/topology", json_body=pair.wish("ACTIVE"))[0] == 202
    wait.until(node.ended, "the agent is killed", 30)
    # When it starts again
    node.start()
    # Then keepalived, and nobody else, has the address
    assert topology(node)["topology"] == "ACTIVE-STANDBY"
    wait.until(lambda: pair.holders() == [0, 1], "it has the address", 30)
    assert keepalived(node)
    assert "nopreempt" in (node.run_dir / "vrrp/keepalived.conf").read_text()
    assert call(node, "PUT", "/1.0/vrrp/stop")[0] == 202
    assert pair.holders() == [1]


def test_agent_killed_before_it_could_be_paired_is_single_still(pair: AgentPair) -> None:
    node = pair.nodes[0]
    assert node.stop() == 0
    node.start(crash_at="topology_intended")
    assert call(node, "POST", "/v0.1/topology", json_body=pair.wish("ACTIVE"))[0] == 202
    wait.until(node.ended, "the agent is killed", 30)
    node.start()
    assert topology(node)["topology"] == "SINGLE"
    assert not keepalived(node)
    assert 0 in pair.holders()


def test_agent_killed_while_it_is_made_single_ends_up_single(pair: AgentPair) -> None:
    node = pair.nodes[0]
    assert call(node, "POST", "/v0.1/topology", json_body=pair.wish("ACTIVE"))[0] == 202
    until_settled(node)
    assert node.stop() == 0
    node.start(crash_at="topology_forgotten")
    assert call(node, "POST", "/v0.1/topology", json_body={"topology": "SINGLE"})[0] == 202
    wait.until(node.ended, "the agent is killed", 30)
    node.start()
    assert topology(node)["topology"] == "SINGLE"
    assert not keepalived(node)
    assert 0 in pair.holders()


@pytest.mark.parametrize(
    ("shared", "own"), [(VIP, False), ("fd00:18::2", True)], ids=["no address of its own", "IPv6"]
)
def test_nodes_with_other_addresses_are_paired_too(shared: str, own: bool) -> None:
    with agent_pair(shared=shared, own_addresses=own) as pair:
        first, second = pair.nodes
        pair.serve()
        pair.pair()
        moves(pair, to=first)
        kill(keepalived(first))
        moves(pair, to=second)


def test_pair_outlives_its_agents_and_a_reboot() -> None:
    with agent_pair(keyed=True) as pair:
        first, second = pair.nodes
        pair.serve()
        pair.pair()
        moves(pair, to=first)
        # When both agents are killed and started again
        before = keepalived(first)
        for node in pair.nodes:
            node.kill()
            node.start()
        # Then the same keepalived runs, and nothing has moved
        assert keepalived(first) == before
        moves(pair, to=first)
        # When the first one's machine starts anew: no process, nothing in memory
        first.kill()
        first.end_keepalived()
        first.close()
        netns.ip("address", "flush", "dev", "newv", namespace=first.namespace)
        for path in (first.run_dir / "vrrp").iterdir():
            path.unlink()
        moves_to_second = lambda: pair.holders() == [second.number]  # noqa: E731
        wait.until(moves_to_second, "the other has the address", 30)
        first.start()
        # Then it stands by, and takes over when the other fails
        wait.until(lambda: keepalived(first), "keepalived runs", 30)
        moves(pair, to=second)
        kill(keepalived(second))
        moves(pair, to=first)
