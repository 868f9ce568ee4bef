"""Nodes for a controller of Octavia's own code, and what is between and behind them."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from libra_amphora.namespace import Namespace
from tests.support import folders, netns, octavia_env
from tests.support.amphora import Amphora, Authorities
from tests.support.backends import HttpBackend
from tests.support.lossy_relay import LossyRelay
from tests.support.octavia_controller import KEY, Controller, new_id
from tests.support.ports import free_port

PROJECT = "b2f1d3a0c5e84f6f9a7b6c5d4e3f2a10"
VIP = "203.0.113.2"
OWN = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
CLIENTS = "203.0.113.1"
MEMBERS = "198.18.0.1"
VIP_SUBNET: dict[str, Any] = {"cidr": "203.0.113.0/24", "gateway_ip": CLIENTS, "host_routes": []}
MEMBER_SUBNET: dict[str, Any] = {"cidr": "198.18.0.0/24", "gateway_ip": None, "host_routes": []}


class Node(Amphora):
    """An agent with a namespace of its own, reached at its own loopback address."""

    def __init__(self, *, number: int, port: int, namespace: str, **more: Any) -> None:
        self.number = number
        self.namespace = namespace
        self.address = f"127.0.0.{number + 1}"
        self.vip_mac = f"02:00:00:00:16:0{number}"
        self.member_mac = f"02:00:00:00:17:0{number}"
        self._shared_port = port
        super().__init__(amphora_id=new_id(), netns=namespace, **more)

    def write_config(self, **own: object) -> None:
        self.port = self._shared_port
        super().write_config(**own)
        text = self.config.read_text()
        self.config.write_text(text.replace("bind_host = 127.0.0.1", f"bind_host = {self.address}"))

    def set_topology(self, topology: str) -> None:
        text = self.config.read_text()
        self.config.write_text(text.replace("topology = SINGLE", f"topology = {topology}"))

    @property
    def holds(self) -> bool:
        return netns.holds(self.namespace, VIP)

    def vanish(self) -> None:
        """Die as a machine does: no process, no link, and nothing that could tell anybody."""
        netns.ip("link", "set", "newv", "down", namespace=self.namespace)
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.end_keepalived()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        netns.ip("address", "flush", "dev", "newv", namespace=self.namespace)

    def end_keepalived(self) -> None:
        """SIGKILL for this node's keepalived, parent and child."""
        needle = str(self.run_dir).encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if b"keepalived\0" in command and needle in command:
                    os.kill(int(entry.name), signal.SIGKILL)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.end_keepalived()
        super().close()


@dataclass(kw_only=True)
class Site:
    """Nodes on one switch with their clients and members, and the controller of all."""

    controller: Controller
    nodes: tuple[Node, ...]
    switch: str
    release: str
    relay: LossyRelay | None = None
    balancer: str = field(default_factory=new_id)

    def add_balancer(self, *, topology: str = "SINGLE") -> None:
        """What the API and the compute flows would have put into the database by now."""
        rows: list[tuple[str, dict[str, Any]]] = [
            (
                "LoadBalancer",
                {
                    "id": self.balancer,
                    "project_id": PROJECT,
                    "name": "shop",
                    "provisioning_status": "ACTIVE",
                    "operating_status": "OFFLINE",
                    "topology": topology,
                    "enabled": True,
                },
            ),
            ("Vip", {"load_balancer_id": self.balancer, "ip_address": VIP}),
            (
                "VRRPGroup",
                {
                    "load_balancer_id": self.balancer,
                    "vrrp_group_name": self.balancer.replace("-", ""),
                    "vrrp_auth_type": "PASS",
                    "vrrp_auth_pass": "b76d77e",
                    "advert_int": 1,
                },
            ),
            *(self.amphora_row(node, topology) for node in self.nodes[:2]),
        ]
        self.controller.do("add", rows=rows)

    def amphora_row(self, node: Node, topology: str) -> tuple[str, dict[str, Any]]:
        role = ("MASTER", "BACKUP", "MASTER")[node.number] if topology != "SINGLE" else "STANDALONE"
        return (
            "Amphora",
            {
                "id": node.id,
                "load_balancer_id": self.balancer,
                "lb_network_ip": node.address,
                "vrrp_ip": OWN[node.number],
                "ha_ip": VIP,
                "vrrp_port_id": f"vrrp-port-{node.number}",
                "role": role,
                "status": "ALLOCATED",
                "vrrp_id": 1,
                "vrrp_priority": (100, 90, 100)[node.number],
            },
        )

    def plug(self, node: Node) -> None:
        """The flows that give an amphora its ports."""
        self.controller.do(
            "plug_vip", amphora=node.id, mac=node.vip_mac, subnet=VIP_SUBNET, mtu=1450
        )
        self.controller.do(
            "plug_network",
            amphora=node.id,
            mac=node.member_mac,
            address=f"198.18.0.1{node.number}",
            subnet=MEMBER_SUBNET,
            mtu=1450,
        )

    def add_pool(self, *, protocol: str = "HTTP", monitor: str | None = None, **more: Any) -> str:
        """A pool in the database; `more` are further columns."""
        pool = new_id()
        rows: list[tuple[str, dict[str, Any]]] = [
            (
                "Pool",
                {
                    "id": pool,
                    "project_id": PROJECT,
                    "load_balancer_id": self.balancer,
                    "protocol": protocol,
                    "lb_algorithm": "ROUND_ROBIN",
                    "provisioning_status": "ACTIVE",
                    "operating_status": "OFFLINE",
                    "enabled": True,
                    "tls_enabled": False,
                }
                | more,
            )
        ]
        if monitor is not None:
            rows.append(
                (
                    "HealthMonitor",
                    {
                        "id": new_id(),
                        "project_id": PROJECT,
                        "pool_id": pool,
                        "type": monitor,
                        "delay": 1,
                        "timeout": 1,
                        "fall_threshold": 2,
                        "rise_threshold": 1,
                        "http_method": "GET",
                        "url_path": "/",
                        "expected_codes": "200",
                        "enabled": True,
                        "provisioning_status": "ACTIVE",
                        "operating_status": "ONLINE",
                    },
                )
            )
        self.controller.do("add", rows=rows)
        return pool

    def add_member(self, pool: str, backend: HttpBackend, **more: Any) -> str:
        member = new_id()
        row = {
            "id": member,
            "project_id": PROJECT,
            "pool_id": pool,
            "ip_address": MEMBERS,
            "protocol_port": backend.port,
            "weight": 1,
            "backup": False,
            "enabled": True,
            "provisioning_status": "ACTIVE",
            "operating_status": "NO_MONITOR",
        } | more
        self.controller.do("add", rows=[("Member", row)])
        return member

    def add_listener(
        self, *, port: int, pool: str | None, protocol: str = "HTTP", **more: Any
    ) -> str:
        listener = new_id()
        row = {
            "id": listener,
            "project_id": PROJECT,
            "load_balancer_id": self.balancer,
            "protocol": protocol,
            "protocol_port": port,
            "connection_limit": 1000,
            "default_pool_id": pool,
            "provisioning_status": "ACTIVE",
            "operating_status": "OFFLINE",
            "enabled": True,
            "peer_port": 1025,
            "insert_headers": {},
        } | more
        self.controller.do("add", rows=[("Listener", row)])
        return listener

    def add_policy(self, listener: str, *, path: str, position: int = 1, **fields: Any) -> None:
        policy = new_id()
        common = {
            "project_id": PROJECT,
            "provisioning_status": "ACTIVE",
            "operating_status": "ONLINE",
            "enabled": True,
        }
        rule = {
            "id": new_id(),
            "l7policy_id": policy,
            "type": "PATH",
            "compare_type": "STARTS_WITH",
            "value": path,
            "invert": False,
        }
        row = {"id": policy, "listener_id": listener, "position": position} | fields
        self.controller.do("add", rows=[("L7Policy", row | common), ("L7Rule", rule | common)])

    def update(self) -> None:
        """The flow of nearly every change."""
        self.controller.do("update", balancer=self.balancer)

    @contextlib.contextmanager
    def backend(self, name: str) -> Iterator[HttpBackend]:
        """A member's server."""
        made = self.among_clients(lambda: HttpBackend(name, host=MEMBERS))
        with made:
            yield made

    def among_clients(self, action: Callable[[], Any]) -> Any:
        """Do something where clients and members are."""
        return Namespace(self.switch).run(action)


@contextlib.contextmanager
def site(
    *,
    nodes: int = 1,
    topology: str = "SINGLE",
    loss: float | None = None,
    release: str = octavia_env.NEWEST,
) -> Iterator[Site]:
    """Everything, running, with an empty database.

    With `loss` the nodes send heartbeats, and that share of them never arrives.
    """
    netns.must_be_possible()
    authorities, port = Authorities(), free_port()
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(netns.namespace())
        for bridge, address in (("vip", f"{CLIENTS}/24"), ("members", f"{MEMBERS}/24")):
            netns.ip("link", "add", bridge, "type", "bridge", namespace=switch)
            netns.ip("link", "set", bridge, "up", namespace=switch)
            netns.ip("address", "add", address, "dev", bridge, namespace=switch)
        controller = Controller(
            folder=folders.folder(), authorities=authorities, port=port, release=release
        )
        stack.callback(controller.close)
        relay, health = None, {}
        if loss is not None:
            relay = stack.enter_context(LossyRelay(target=controller.health_port, loss=loss))
            health = {
                "controller_ip_port_list": f"127.0.0.1:{relay.port}",
                "heartbeat_interval": 1,
                "heartbeat_key": KEY,
            }
            controller.listen()
        made = []
        for number in range(nodes):
            space = stack.enter_context(netns.namespace())
            node = Node(
                number=number,
                port=port,
                namespace=space,
                folder=folders.folder(),
                authorities=authorities,
            )
            join(node, switch)
            node.health |= health
            node.write_config()
            node.set_topology(topology)
            stack.enter_context(node)
            node.start()
            made.append(node)
        yield Site(
            controller=controller, nodes=tuple(made), switch=switch, release=release, relay=relay
        )


def join(node: Node, switch: str) -> None:
    """Cable a node to the switches of clients and of members; its ends are down, as new ports."""
    for kind, mac, bridge in (("v", node.vip_mac, "vip"), ("m", node.member_mac, "members")):
        end, other = f"new{kind}", f"{kind}{node.number}"
        other_mac = mac[:9] + "ee" + mac[11:]
        netns.cable((node.namespace, end, mac), (switch, other, other_mac))
        netns.ip("link", "set", other, "master", bridge, "up", namespace=switch)


def pair_of(ca: trustme.CA, *names: str) -> tuple[bytes, bytes, bytes]:
    """A certificate for `names`, its key, and the authority's own certificate."""
    leaf = ca.issue_cert(*names, common_name=names[0])
    return (
        leaf.cert_chain_pems[0].bytes(),
        leaf.private_key_pem.bytes(),
        ca.cert_pem.bytes(),
    )


def address(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(text)
