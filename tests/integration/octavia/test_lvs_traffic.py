"""What the provider renders for UDP and SCTP, in traffic: a device, keepalived, the kernel's IP_VS.

Where this kernel has none, `amphora/network/test_lvs_elsewhere` runs these in another.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from libra_amphora.ip_vs import IpVs
from libra_amphora.namespace import Namespace
from tests.support import netns, wait
from tests.support.lvs_place import MEMBERS, PORT, VIP, VIP6, Place, opened
from tests.support.lvs_provider import Provider
from tests.support.lvs_text import LISTENER, OTHER, POOL
from tests.support.octavia_trees import listener, member, monitor, pool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ONE, TWO = MEMBERS
BALANCER = "85e2111b-29c4-44be-94f3-e72045805801"
FRONT = listener(listener_id=LISTENER, protocol="UDP", protocol_port=53, default_pool_id=POOL)
SOON = {"delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}


@pytest.fixture(scope="module")
def standing() -> Iterator[Place]:
    with opened() as made:
        yield made


@pytest.fixture
def place(standing: Place) -> Iterator[Place]:
    """The same one for all, since an agent takes its time to start; without any listener."""
    yield standing
    Provider(standing.agent, BALANCER, VIP).serve([], [])
    while standing.served:
        standing.served.pop().close()


def behind(*members: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return pool(**{"pool_id": POOL, "protocol": "UDP", "members": list(members), **fields})


def both(**fields: Any) -> list[dict[str, Any]]:
    return [
        member(member_id=id_, address=address, protocol_port=PORT, **fields)
        for id_, address in MEMBERS.items()
    ]


def test_datagrams_go_to_the_members_of_the_tree_as_soon_as_it_is_told(place: Place) -> None:
    one, _ = place.member(ONE), place.member(TWO)
    place.answer("fd00:19::1", "six")
    provider = Provider(place.agent, BALANCER, VIP, VIP6)
    first, second = both()
    six = member(address="fd00:19::1", protocol_port=PORT)
    # Given a pool whose second member has three times the weight; no wait from here on
    pools = [behind(first, second | {"weight": 3}, six)]
    assert provider.serve([FRONT], pools) == {}
    assert place.ask(8) == {ONE: 2, TWO: 6}
    # The kernel may still be asking whether its address of IPv6 is another's.
    wait.until(lambda: place.ask(1, vip=VIP6) == {"six": 1}, "it answers by IPv6", 30)
    # When a member is disabled, and when it weighs nothing
    assert provider.serve([FRONT], [behind(first, second | {"admin_state_up": False})]) == {}
    assert place.ask(4) == {ONE: 4}
    assert place.statuses() == {ONE: "UP", TWO: "DOWN"}
    assert provider.serve([FRONT], [behind(first | {"weight": 0}, second)]) == {}
    assert place.ask(4) == {TWO: 4}
    # When clients stay by their address, or are told apart by their port, too
    assert provider.serve([FRONT], [behind(*both(), lb_algorithm="SOURCE_IP")]) == {}
    wait.until(lambda: len(place.ask(8)) == 1, "one member serves the client", 30)
    assert provider.serve([FRONT], [behind(*both(), lb_algorithm="SOURCE_IP_PORT")]) == {}
    wait.until(lambda: len(place.ask(8)) == 2, "both serve the client", 30)
    # When members are watched, and all of them fail
    watch = monitor(type="UDP-CONNECT", **SOON)
    watched = [behind(*both(), healthmonitor=watch)]
    assert provider.serve([FRONT], watched) == {}
    one.close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN", TWO: "UP"}, "the check sees it", 60)
    assert place.ask(4) == {TWO: 4}
    place.served[1].close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN", TWO: "DOWN"}, "the other, too", 60)
    assert provider.serve([FRONT], watched) == {}
    # When the pool is empty, and when the listener goes
    assert provider.serve([FRONT], [behind()]) == {}
    assert "UDP" not in place.table()
    assert provider.serve([FRONT], [behind(*both())]) == {}
    assert "UDP" in place.table()
    assert provider.serve([], [behind(*both())]) == {}
    assert "UDP" not in place.table()
    assert place.ask(1) == {"": 1}
    assert provider.api.present(BALANCER).by_kernel == frozenset()


def test_clients_of_a_network_stay_with_their_member(place: Place) -> None:
    place.member(ONE)
    place.member(TWO)
    near, far = "203.0.113.77", "203.0.113.177"
    for address in (near, far):
        netns.ip("address", "add", f"{address}/24", "dev", "outer", namespace=place.clients)
    provider = Provider(place.agent, BALANCER, VIP)

    def members(mask: str | None, seconds: int = 60) -> list[Counter[str]]:
        stay = {
            "type": "SOURCE_IP",
            "persistence_timeout": seconds,
            "persistence_granularity": mask,
        }
        assert provider.serve([FRONT], [behind(*both(), session_persistence=stay)]) == {}
        return [place.ask(4, source=source) for source in (near, far)]

    # Given clients of two addresses, whom members would serve in turn
    one, other = members(None)
    # Then each stays with its own member, which is another's where it is another network
    assert [sorted(one.values()), sorted(other.values())] == [[4], [4]]
    assert one.keys() != other.keys()
    one, other = members("255.255.255.128")
    assert [sorted(one.values()), sorted(other.values())] == [[4], [4]]
    assert one.keys() != other.keys()
    # And with the same where the network is the same
    one, other = members("255.255.255.0")
    assert one == other
    assert list(one.values()) == [4]
    # And the kernel has other times and, by IPv6, lengths of prefixes
    assert members("255.255.255.0", 90)[0].total() == 4
    stay = {"type": "SOURCE_IP", "persistence_granularity": "ffff:ffff:ffff::"}
    six = behind(member(address="fd00:19::1", protocol_port=PORT), session_persistence=stay)
    assert Provider(place.agent, BALANCER, VIP6).serve([FRONT], [six]) == {}
    (way,) = IpVs(Namespace(place.node)).ways().values()
    assert (way.seconds, way.mask) == (360, 48)


def test_a_client_whose_member_goes_is_served_by_another_at_once(place: Place) -> None:
    place.member(ONE)
    place.member(TWO)
    provider = Provider(place.agent, BALANCER, VIP)
    assert provider.serve([FRONT], [behind(*both())]) == {}
    # Given a client that sends from one port all the time, and so keeps its member
    with Namespace(place.clients).run(lambda: socket.socket(type=socket.SOCK_DGRAM)) as client:
        client.settimeout(1)
        client.connect((VIP, 53))

        def ask() -> str:
            client.send(b"who")
            return client.recv(100).decode()

        kept = ask()
        assert {ask() for _ in range(4)} == {kept}
        # When that is disabled
        stays = [one for one in both() if one["member_id"] != kept]
        assert provider.serve([FRONT], [behind(*stays)]) == {}

        # Then another answers, but for a datagram that tells the kernel so
        def answered() -> bool:
            try:
                return ask() not in ("", kept)
            except TimeoutError:
                return False

        wait.until(answered, "the other member answers", 10)


def test_udp_and_tcp_have_the_same_port_and_each_its_own_members(place: Place) -> None:
    place.member(ONE)
    with Namespace(place.members).run(lambda: socket.create_server((MEMBERS[TWO], PORT))) as web:
        threading.Thread(target=_greet, args=(web,), daemon=True).start()
        provider = Provider(place.agent, BALANCER, VIP)
        behind_tcp = pool(pool_id=OTHER, protocol="TCP", members=both()[1:])
        tcp = listener(listener_id=OTHER, protocol="TCP", protocol_port=53, default_pool_id=OTHER)
        # When both are asked for
        assert provider.serve([FRONT, tcp], [behind(both()[0]), behind_tcp]) == {}
        # Then each serves
        assert place.ask(2) == {ONE: 2}
        wait.until(lambda: _asked(place) == TWO, "HAProxy serves", 30)
        # When one goes the other stays, and the other way round
        assert provider.serve([tcp], [behind(both()[0]), behind_tcp]) == {}
        assert (place.ask(1), _asked(place)) == ({"": 1}, TWO)
        assert provider.serve([FRONT], [behind(both()[0]), behind_tcp]) == {}
        assert place.ask(2) == {ONE: 2}
        web.shutdown(socket.SHUT_RDWR)


def test_associations_of_sctp_go_to_the_members_that_answer(place: Place) -> None:
    try:
        place.member(ONE, sctp=True)
    except OSError as error:
        pytest.skip(f"this kernel has no SCTP: {error}")
    provider = Provider(place.agent, BALANCER, VIP)
    front, watch = FRONT | {"protocol": "SCTP"}, monitor(type="SCTP", **SOON)
    assert provider.serve([front], [behind(*both(), protocol="SCTP", healthmonitor=watch)]) == {}
    wait.until(lambda: place.statuses() == {ONE: "UP", TWO: "DOWN"}, "the check sees it", 60)

    def ask() -> Counter[str]:
        return place.ask(2, kind=socket.SOCK_STREAM, protocol=socket.IPPROTO_SCTP)

    assert ask() == {ONE: 2}
    # When the listener goes
    assert provider.serve([], []) == {}
    assert ask() == {"": 2}


def _greet(web: socket.socket) -> None:
    while True:
        try:
            peer, _ = web.accept()
        except OSError:
            return
        with peer:
            peer.sendall(TWO.encode())


def _asked(place: Place) -> str:
    def ask() -> str:
        try:
            with socket.create_connection((VIP, 53), 5) as opened:
                return opened.recv(100).decode()
        except OSError:
            return ""

    return Namespace(place.clients).run(ask)
