"""UDP and SCTP listeners for real: an agent, keepalived, the kernel's IP_VS, and datagrams.

Where this kernel has none, `test_lvs_elsewhere` runs these in another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from libra_amphora.heartbeat import message
from libra_amphora.ip_vs import IpVs
from libra_amphora.namespace import Namespace
from tests.support import folders, need, netns, wait
from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.lvs_agent import listeners_of
from tests.support.lvs_text import LISTENER, OTHER, POOL, SCTP_CHECK, Lvs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

VIP, VIP6 = "203.0.113.2", "fd00:18::2"
MEMBERS = {
    "73f6d278-ae1c-4248-ad02-0bfd50d69aab": "198.18.0.1",
    "2edca57c-5890-4bcb-ae67-4ef75776cc67": "198.18.0.2",
}
ONE, TWO = MEMBERS
PORT = 5353


@dataclass(kw_only=True)
class Place:
    """An agent with its ports; clients and members are in other namespaces, and route by it."""

    agent: Amphora
    node: str
    clients: str
    members: str
    served: list[Echo] = field(default_factory=list)

    def put(self, lvs: Lvs) -> Any:
        path = f"/1.0/listeners/{AMPHORA_ID}/{lvs.id}/udp_listener"
        reply = self.agent.local("PUT", path, lvs.text())
        return reply.status, reply.body

    def act(self, action: str, id_: str = LISTENER) -> Any:
        reply = self.agent.local("PUT", f"/1.0/loadbalancer/{id_}/{action}")
        return reply.status, reply.body

    def serve(self, lvs: Lvs) -> None:
        assert self.put(lvs) == (200, {"message": "OK"})
        assert self.act("reload", lvs.id)[0] == 202

    def ask(
        self, times: int = 8, *, kind: int = socket.SOCK_DGRAM, protocol: int = 0, vip: str = VIP
    ) -> Counter[str]:
        """Who answers so many clients; empty for nobody."""

        def ask() -> Counter[str]:
            answers: Counter[str] = Counter()
            for _ in range(times):
                with socket.socket(_family(vip), kind, protocol) as client:
                    client.settimeout(1)
                    try:
                        client.connect((vip, 53))
                        client.send(b"who")
                        answers[client.recv(100).decode()] += 1
                    except OSError:
                        answers[""] += 1
            return answers

        return Namespace(self.clients).run(ask)

    def statuses(self) -> dict[str, str]:
        body = self.agent.local("GET", f"/v0.1/listeners/{LISTENER}").body
        found = [one for pool in body["pools"] for one in pool["members"]]
        return {id_: word for one in found for id_, word in one.items()}

    def table(self) -> str:
        return netns.inside(self.node, "cat", "/proc/net/ip_vs")

    def member(self, id_: str, *, sctp: bool = False) -> Echo:
        return self.answer(MEMBERS[id_], id_, sctp=sctp)

    def answer(self, address: str, name: str, *, sctp: bool = False) -> Echo:
        echo = Namespace(self.members).run(lambda: Echo(address, name, sctp=sctp))
        self.served.append(echo)
        return echo


class Echo:
    """A member that says its name."""

    def __init__(self, address: str, name: str, *, sctp: bool = False) -> None:
        self._name = name.encode()
        self._sctp = sctp
        kind, protocol = (
            (socket.SOCK_STREAM, socket.IPPROTO_SCTP) if sctp else (socket.SOCK_DGRAM, 0)
        )
        self._socket = socket.socket(_family(address), kind, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, PORT))
        if sctp:
            self._socket.listen(16)
        self._socket.settimeout(0.2)
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ends = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ends:
            with contextlib.suppress(OSError):
                if self._sctp:
                    peer, _ = self._socket.accept()
                    with peer:
                        peer.settimeout(2)
                        if peer.recv(100):
                            peer.send(self._name)
                    continue
                _, sender = self._socket.recvfrom(100)
                self._socket.sendto(self._name, sender)


@pytest.fixture
def place() -> Iterator[Place]:
    netns.must_be_possible()
    need.program("keepalived")
    with contextlib.ExitStack() as stack:
        node, clients, members = (stack.enter_context(netns.namespace()) for _ in range(3))
        reason = IpVs(Namespace(node)).why_not()
        if reason is not None:
            pytest.skip(reason)
        netns.cable((node, "newv", "02:00:00:00:19:01"), (clients, "outer", "02:00:00:00:19:02"))
        netns.cable((node, "newm", "02:00:00:00:19:03"), (members, "inner", "02:00:00:00:19:04"))
        for space, name, addresses, gateway in (
            (clients, "outer", ("203.0.113.1/24",), VIP),
            (members, "inner", ("198.18.0.1/24", "198.18.0.2/24"), "198.18.0.10"),
            (clients, "outer", ("fd00:18::1/64",), VIP6),
            (members, "inner", ("fd00:19::1/64",), "fd00:19::10"),
        ):
            netns.ip("link", "set", name, "up", namespace=space)
            nodad = ["nodad"] if ":" in gateway else []
            for address in addresses:
                netns.ip("address", "add", address, "dev", name, *nodad, namespace=space)
            netns.ip("route", "add", "default", "via", gateway, namespace=space)
        agent = stack.enter_context(Amphora(folder=folders.folder(), netns=node))
        agent.start()
        subnet = {
            "subnet_cidr": "203.0.113.0/24",
            "gateway": "203.0.113.1",
            "mac_address": "02:00:00:00:19:01",
            "additional_vips": [
                {"ip_address": VIP6, "subnet_cidr": "fd00:18::/64", "gateway": "fd00:18::1"}
            ],
        }
        assert agent.local("POST", f"/1.0/plug/vip/{VIP}", json_body=subnet).status == 202
        fixed = [
            {"ip_address": "198.18.0.10", "subnet_cidr": "198.18.0.0/24"},
            {"ip_address": "fd00:19::10", "subnet_cidr": "fd00:19::/64"},
        ]
        body = {"mac_address": "02:00:00:00:19:03", "fixed_ips": fixed}
        assert agent.local("POST", "/1.0/plug/network", json_body=body).status == 202
        made = Place(agent=agent, node=node, clients=clients, members=members)
        yield made
        for echo in made.served:
            echo.close()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def keepalived(agent: Amphora) -> list[int]:
    return sorted(agent.pids(b"--check"))


def test_datagrams_reach_members_that_come_go_and_fail(place: Place) -> None:
    one, _ = place.member(ONE), place.member(TWO)
    # Given a listener that was uploaded, and is given back as it came
    lvs = Lvs(members={ONE: MEMBERS[ONE]})
    assert place.put(lvs) == (200, {"message": "OK"})
    reply = place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener")
    assert (reply.status, reply.body) == (200, lvs.text())
    assert place.agent.local("GET", "/1.0/listeners").body == [
        {"status": "STOPPED", "uuid": LISTENER, "type": "UDP"}
    ]
    assert place.ask(1) == {"": 1}
    # When it is started, it serves
    assert place.act("start") == (
        202,
        {"message": "OK", "details": f"keepalivedlvs listener {LISTENER} started"},
    )
    wait.until(lambda: place.ask(1) == {ONE: 1}, "the first member answers", 30)
    assert place.agent.local("GET", "/1.0/listeners").body[0]["status"] == "ACTIVE"
    before = keepalived(place.agent)
    # When a member comes, it serves too, and keepalived is the same
    place.serve(Lvs(members=MEMBERS))
    wait.until(lambda: place.ask(8) == {ONE: 4, TWO: 4}, "both answer in turn", 30)
    assert set(before) & set(keepalived(place.agent))
    # When one fails, the other has all, and it is told
    one.close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN", TWO: "UP"}, "the check sees it", 60)
    assert place.ask(8) == {TWO: 8}
    # When it is back, it serves again
    place.member(ONE)
    wait.until(lambda: place.ask(8) == {ONE: 4, TWO: 4}, "both answer again", 30)
    # When one is disabled
    place.serve(Lvs(members={TWO: MEMBERS[TWO]}, disabled=(ONE,)))
    wait.until(lambda: place.ask(4) == {TWO: 4}, "only the other answers", 30)
    # When the listener is stopped, nobody answers; and it starts again
    assert place.act("stop")[0] == 202
    assert "UDP" not in place.table()
    assert place.ask(1) == {"": 1}
    assert not keepalived(place.agent)
    assert place.act("start")[0] == 202
    wait.until(lambda: place.ask(1) == {TWO: 1}, "it answers again", 30)
    # When it is deleted, nothing of it is left
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert place.agent.local("GET", "/1.0/listeners").body == []
    assert place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener").status == 404
    assert "UDP" not in place.table()
    assert not keepalived(place.agent)
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 404


def test_listener_outlives_its_keepalived_and_the_agent(place: Place) -> None:
    place.member(ONE)
    place.serve(Lvs(members={ONE: MEMBERS[ONE]}))
    wait.until(lambda: place.ask(1) == {ONE: 1}, "it answers", 30)
    # When the agent is killed and started again, keepalived is the same
    before = keepalived(place.agent)
    place.agent.kill()
    place.agent.start()
    assert keepalived(place.agent) == before
    assert place.ask(4) == {ONE: 4}
    # When keepalived is killed, datagrams still arrive, and another one comes
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in before:
            os.kill(pid, number)
    assert place.ask(4) == {ONE: 4}
    wait.until(lambda: keepalived(place.agent), "keepalived runs again", 60)
    assert place.ask(4) == {ONE: 4}
    # When a killed one is deleted, nothing is left in the kernel
    place.agent.kill()
    for pid in keepalived(place.agent):
        os.kill(pid, signal.SIGKILL)
    place.agent.start()
    wait.until(lambda: keepalived(place.agent), "keepalived runs again", 60)
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert "UDP" not in place.table()


def test_refused_configurations_change_nothing(place: Place) -> None:
    place.member(ONE)
    good = Lvs(members={ONE: MEMBERS[ONE]})
    place.serve(good)
    path = f"/1.0/listeners/{AMPHORA_ID}/{LISTENER}/udp_listener"
    for bad, complaint in (
        (good.text().replace("/var/lib/octavia/lvs/check/udp_check.sh", "/bin/sh"), "/bin/sh"),
        (good.text().replace("NAT", "DR"), "lb_kind"),
        (good.text().replace("protocol UDP", "protocol TCP"), "protocol"),
        (good.text() + "include /etc/passwd\n", "include"),
        (good.text() + "}\n", "never opened"),
    ):
        reply = place.agent.local("PUT", path, bad)
        assert (reply.status, reply.body["message"]) == (400, "Invalid request")
        assert complaint in reply.body["details"]
    reply = place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener")
    assert reply.body == good.text()
    # And another listener cannot have its port
    assert place.put(Lvs(members=MEMBERS, id=OTHER))[0] == 200
    status, body = place.act("start", OTHER)
    assert status == 500
    assert "another listener has UDP port 53" in body["details"]
    assert place.ask(4) == {ONE: 4}


def test_traffic_and_members_are_in_the_heartbeat(place: Place) -> None:
    place.member(ONE)
    lvs = Lvs(members=MEMBERS, weights={TWO: 0}, check="", disabled=("x",))
    place.serve(lvs)
    wait.until(lambda: place.ask(1) == {ONE: 1}, "it answers", 30)
    details = place.agent.local("GET", "/1.0/details").body
    assert details["listeners"] == [LISTENER]
    listeners = listeners_of(place.agent, place.node)

    def said() -> dict[str, Any]:
        return message(listeners.snapshot(), amphora_id="a", sequence=1)

    # The kernel adds its counters up every two seconds.
    wait.until(lambda: said()["listeners"][LISTENER]["stats"]["totconns"], "it is counted", 30)
    found = said()["listeners"][LISTENER]
    assert found["status"] == "OPEN"
    assert found["stats"]["rx"] >= len("who") + 28
    assert found["stats"]["tx"] >= len(ONE) + 28
    assert said()["pools"] == {
        POOL: {"status": "UP", "members": {"x": "MAINT", ONE: "no check", TWO: "DRAIN"}}
    }


def test_listener_serves_by_ipv6(place: Place) -> None:
    place.answer("fd00:19::1", ONE)
    place.serve(Lvs(vip=VIP6, members={ONE: "fd00:19::1"}))
    wait.until(lambda: place.ask(1, vip=VIP6) == {ONE: 1}, "it answers", 60)
    assert place.statuses() == {ONE: "UP"}
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert "UDP" not in place.table()


def test_sctp_listener_serves(place: Place) -> None:
    try:
        place.member(ONE, sctp=True)
    except OSError as error:
        pytest.skip(f"this kernel has no SCTP: {error}")
    place.serve(Lvs(members={ONE: MEMBERS[ONE]}, protocol="SCTP", check=SCTP_CHECK))

    def ask() -> Counter[str]:
        return place.ask(1, kind=socket.SOCK_STREAM, protocol=socket.IPPROTO_SCTP)

    wait.until(lambda: ask() == {ONE: 1}, "it answers", 30)
    assert place.agent.local("GET", "/1.0/listeners").body == [
        {"status": "ACTIVE", "uuid": LISTENER, "type": "SCTP"}
    ]
    place.served[0].close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN"}, "the check sees it", 30)
