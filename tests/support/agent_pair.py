"""Two live agents that a controller pairs by POST topology, with clients and a member around."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from libra_amphora.namespace import Namespace
from tests.support import folders, need, netns, wait
from tests.support.amphora import Authorities
from tests.support.backends import HttpBackend
from tests.support.octavia import CLIENTS, MEMBERS, OWN, VIP, Node, join
from tests.support.octavia_text import BALANCER, Proxy, configuration
from tests.support.octavia_text import MEMBERS as IDS
from tests.support.ports import free_port

SECRET = "b20e06cf1abcf29c708d3b437f4a29892a0921d0"  # noqa: S105 - the documents' own
PORT = 80


@dataclass(kw_only=True)
class AgentPair:
    """Both agents run and have their ports; `shared` is the address they are to share."""

    nodes: tuple[Node, Node]
    switch: str
    member: HttpBackend
    shared: str

    def wish(self, role: str, **more: Any) -> dict[str, Any]:
        """The body of POST topology, as the documents have it: with the space."""
        return {
            "topology": "ACTIVE-STANDBY",
            "role": role,
            "ha_ip": f" {self.shared}",
            "secret": SECRET,
        } | more

    def serve(self) -> None:
        """Have both serve the same load balancer at the shared address."""
        host = f"[{self.shared}]" if ":" in self.shared else self.shared
        proxy = Proxy(port=PORT, members={IDS[0]: self.member.port}, check="")
        text = configuration(proxy).replace(f"127.0.0.1:{PORT}", f"{host}:{PORT}")
        text = text.replace(f"127.0.0.1:{self.member.port}", f"{MEMBERS}:{self.member.port}")
        for node in self.nodes:
            path = f"/1.0/loadbalancer/{node.id}/{BALANCER}/haproxy"
            assert call(node, "PUT", path, text)[0] == 201
            assert call(node, "PUT", f"/1.0/loadbalancer/{BALANCER}/start")[0] == 202

    def pair(self) -> None:
        """POST topology to both, and wait until it is in force."""
        for node, role in zip(self.nodes, ("ACTIVE", "STANDBY"), strict=True):
            assert call(node, "POST", "/v0.1/topology", json_body=self.wish(role))[0] == 202
        wait.until(lambda: all(settled(node) for node in self.nodes), "the topology is in force")

    def holders(self) -> list[int]:
        """The numbers of those that have the shared address now, by iproute2's word."""
        return [n.number for n in self.nodes if netns.holds(n.namespace, self.shared)]

    def roles(self) -> list[str]:
        """What each says that it is."""
        return [topology(node)["role"] for node in self.nodes]

    def answer(self) -> str:
        """Who answers a client; empty for nobody."""

        def ask() -> str:
            connection = http.client.HTTPConnection(self.shared, PORT, timeout=2)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read().decode()
            except OSError:
                return ""
            finally:
                connection.close()

        return Namespace(self.switch).run(ask)


def call(node: Node, method: str, path: str, body: str | None = None, **more: Any) -> Any:
    """Status and body of a request on the node itself."""
    reply = node.local(method, path, body, **more)
    return reply.status, reply.body


def topology(node: Node) -> dict[str, Any]:
    """What GET topology says."""
    body: dict[str, Any] = node.local("GET", "/v0.1/topology").body
    return body


def settled(node: Node) -> bool:
    """Whether no change of topology is under way."""
    return bool(node.local("GET", "/1.0/details").body["topology_status"] == "OK")


@contextlib.contextmanager
def agent_pair(
    *, shared: str = VIP, own_addresses: bool = True, keyed: bool = False
) -> Iterator[AgentPair]:
    """Two agents whose ports are plugged; with `keyed` each has a key for secrets on its disk.

    Without `own_addresses` the ports have none but the shared one, as in the documents' example.
    """
    netns.must_be_possible()
    need.program("keepalived")
    authorities, port = Authorities(), free_port()
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(netns.namespace())
        for bridge, address in (("vip", f"{CLIENTS}/24"), ("members", f"{MEMBERS}/24")):
            netns.ip("link", "add", bridge, "type", "bridge", namespace=switch)
            netns.ip("link", "set", bridge, "up", namespace=switch)
            netns.ip("address", "add", address, "dev", bridge, namespace=switch)
        netns.ip("address", "add", "fd00:18::1/64", "dev", "vip", "nodad", namespace=switch)
        made = []
        for number in (0, 1):
            space = stack.enter_context(netns.namespace())
            folder = folders.folder()
            more = {}
            if keyed:
                (folder / "node.key").write_bytes(bytes(range(32)))
                more["node_key"] = folder / "node.key"
            node = Node(
                number=number,
                port=port,
                namespace=space,
                folder=folder,
                authorities=authorities,
                **more,
            )
            join(node, switch)
            stack.enter_context(node)
            node.start()
            _plug(node, shared, own=own_addresses)
            made.append(node)
        member = stack.enter_context(
            Namespace(switch).run(lambda: HttpBackend("member", host=MEMBERS))
        )
        yield AgentPair(nodes=(made[0], made[1]), switch=switch, member=member, shared=shared)


def _plug(node: Node, shared: str, *, own: bool) -> None:
    v6 = ":" in shared
    body: dict[str, Any] = {
        "subnet_cidr": "fd00:18::/64" if v6 else "203.0.113.0/24",
        "gateway": "fd00:18::1" if v6 else CLIENTS,
        "mac_address": node.vip_mac,
    }
    if own:
        body["vrrp_ip"] = f"fd00:18::1{node.number}" if v6 else OWN[node.number]
    assert call(node, "POST", f"/1.0/plug/vip/{shared}", json_body=body)[0] == 202
    fixed = {"ip_address": f"198.18.0.1{node.number}", "subnet_cidr": "198.18.0.0/24"}
    body = {"mac_address": node.member_mac, "fixed_ips": [fixed]}
    assert call(node, "POST", "/1.0/plug/network", json_body=body)[0] == 202
