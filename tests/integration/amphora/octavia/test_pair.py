"""Two nodes that Octavia pairs, one of which fails and is replaced."""

from __future__ import annotations

import http.client

import pytest

from tests.support import octavia, wait
from tests.support.octavia import Node, Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def served(site: Site) -> str:
    """Who answers a client; empty for nobody."""

    def ask() -> str:
        connection = http.client.HTTPConnection(octavia.VIP, 80, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()

    return str(site.among_clients(ask))


def holders(nodes: tuple[Node, ...]) -> list[int]:
    return [node.number for node in nodes if node.holds]


def test_pair_serves_fails_over_and_gets_a_new_member() -> None:
    with (
        octavia.site(nodes=3, topology="ACTIVE_STANDBY") as site,
        site.backend("member") as member,
    ):
        first, second, spare = site.nodes
        site.add_balancer(topology="ACTIVE_STANDBY")
        # When the controller creates the load balancer on two nodes, by its flow
        for node in (first, second):
            site.controller.do("wait_for_node", amphora=node.id)
            site.plug(node)
        pool = site.add_pool()
        site.add_member(pool, member)
        for node in (first, second):
            site.controller.do("start_vrrp", amphora=node.id, subnet=octavia.VIP_SUBNET)
        site.add_listener(port=80, pool=pool)
        site.update()
        # Then one of them has the address, and serves
        wait.until(lambda: len(holders(site.nodes)) == 1, "one has the address", 60)
        wait.until(lambda: served(site) == "member", "the pair serves", 30)
        # When that one's machine dies
        (number,) = holders(site.nodes)
        dead, other = site.nodes[number], site.nodes[1 - number]
        dead.vanish()
        wait.until(lambda: holders(site.nodes) == [other.number], "the other has it", 60)
        wait.until(lambda: served(site) == "member", "the other serves", 30)
        # And the controller puts a new node in its place, by its flow
        gone = {"status": "DELETED", "load_balancer_id": None}
        site.controller.do("change", table="Amphora", key=dead.id, fields=gone)
        site.controller.do("add", rows=[site.amphora_row(spare, "ACTIVE_STANDBY")])
        site.controller.do("wait_for_node", amphora=spare.id)
        site.plug(spare)
        site.controller.do("update_amphora", balancer=site.balancer, amphora=spare.id)
        for node in (spare, other):
            site.controller.do("start_vrrp", amphora=node.id, subnet=octavia.VIP_SUBNET)
        site.controller.do("start", balancer=site.balancer)
        site.controller.do("reload", balancer=site.balancer)
        # Then the new one takes over when the last of the old goes
        assert served(site) == "member"
        other.vanish()
        wait.until(lambda: holders(site.nodes) == [spare.number], "the new one has it", 60)
        wait.until(lambda: served(site) == "member", "the new one serves", 30)
        # And gives it back where the controller stops it
        site.controller.do("change", table="Amphora", key=other.id, fields=gone)
        site.controller.do("stop_vrrp", balancer=site.balancer)
        wait.until(lambda: holders(site.nodes) == [], "nobody has the address", 30)
