"""Octavia's own health manager takes a node's heartbeats, three of ten of them lost."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import octavia, wait
from tests.support.octavia import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REQUEST = b"GET /%d HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"


def exchange(site: Site, port: int, number: int) -> tuple[int, int]:
    """One connection of a client; gives the bytes that it sent and received."""

    def ask() -> tuple[int, int]:
        request = REQUEST % number
        with socket.create_connection((octavia.VIP, port), 10) as connection:
            connection.sendall(request)
            return len(request), len(b"".join(iter(lambda: connection.recv(65536), b"")))

    return site.among_clients(ask)  # type: ignore[no-any-return]


def test_health_manager_sees_the_statuses_and_totals_equal_the_traffic() -> None:
    with octavia.site(loss=0.3) as site, site.backend("one") as one:
        # Given a load balancer with a member that is there and one that is not
        (node,) = site.nodes
        site.add_balancer()
        site.plug(node)
        # HAProxy counts all bytes of TCP, and of HTTP only those that mean something.
        pool = site.add_pool(protocol="TCP", monitor="HTTP")
        with site.backend("two") as two:
            members = [site.add_member(pool, one), site.add_member(pool, two)]
            listener = site.add_listener(port=80, pool=pool, protocol="TCP")
            site.update()
            # Then everything comes up in the controller's database
            everything = (site.balancer, listener, pool, *members)
            says(site, lambda found: [found[id_] for id_ in everything] == ["ONLINE"] * 5)
            assert node.id in site.controller.do("beats")
            # When there is traffic, and reloads in the middle of it
            sent = received = connections = 0
            for number in range(60):
                if number in (20, 40):
                    spare = site.add_member(pool, one, ip_address="198.18.0.7", weight=0)
                    site.update()
                    site.controller.do("remove", table="Member", key=spare)
                out, back = exchange(site, 80, number)
                sent, received, connections = sent + out, received + back, connections + 1
            site.update()
            # Then its totals are exactly that, whatever was lost on the way
            counts(site, listener, [sent, received, connections])
            assert site.relay is not None
            wait.until(lambda: site.relay is not None and site.relay.lost > 2, "some were lost", 60)
            print(
                f"\n{site.relay.passed} heartbeats arrived, {site.relay.lost} were lost;", end=" "
            )
            print(f"{sent} bytes in, {received} out, {connections} connections: all counted")
        # When a member dies
        says(
            site,
            lambda found: (
                (found[members[1]], found[pool], found[site.balancer])
                == ("ERROR", "DEGRADED", "DEGRADED")
            ),
        )
        # And when the agent is restarted the totals go on
        node.kill()
        node.start()
        out, back = exchange(site, 80, 1000)
        counts(site, listener, [sent + out, received + back, connections + 1])


def counts(site: Site, listener: str, expected: list[int]) -> None:
    """Wait until the controller's database has this traffic."""
    try:
        wait.until(lambda: site.controller.do("statistics").get(listener) == expected, "", 30)
    except AssertionError:
        assert site.controller.do("statistics").get(listener) == expected


def says(site: Site, expected: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the controller's database has these statuses."""
    try:
        wait.until(lambda: expected(site.controller.do("statuses")), "", 60)
    except AssertionError:
        raise AssertionError(f"it says {site.controller.do('statuses')}") from None
