"""An agent with UDP and SCTP listeners between clients and members, all in namespaces.

Only where the kernel has IP_VS; `tests.support.uml` brings one that does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from libra_amphora.ip_vs import IpVs
from libra_amphora.namespace import Namespace
from tests.support import folders, need, netns
from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.lvs_text import LISTENER, Lvs

VIP, VIP6 = "203.0.113.2", "fd00:18::2"
MEMBERS = {
    "73f6d278-ae1c-4248-ad02-0bfd50d69aab": "198.18.0.1",
    "2edca57c-5890-4bcb-ae67-4ef75776cc67": "198.18.0.2",
}
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
        self,
        times: int = 8,
        *,
        kind: int = socket.SOCK_DGRAM,
        protocol: int = 0,
        vip: str = VIP,
        source: str = "",
    ) -> Counter[str]:
        """Who answers so many clients, of an address of its own if told; empty for nobody."""

        def ask() -> Counter[str]:
            answers: Counter[str] = Counter()
            for _ in range(times):
                with socket.socket(_family(vip), kind, protocol) as client:
                    client.settimeout(1)
                    if source:
                        client.bind((source, 0))
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


@contextlib.contextmanager
def opened() -> Iterator[Place]:
    """All of it; skips where the kernel has no IP_VS."""
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
