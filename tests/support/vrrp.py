"""Two nodes with keepalived that share an address: namespaces joined by a bridge."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from libra_amphora.keepalived import Keepalived
from libra_amphora.network import Network
from libra_amphora.plugged import ACTIVE_STANDBY, Home, Plug
from libra_amphora.vault import Vault
from tests.support import folders, need, netns, wait

VIP = "203.0.113.2"
ADDRESS = ipaddress.ip_address(VIP)
SUBNET = "203.0.113.0/24"
OWN = ("203.0.113.10", "203.0.113.11")
SECRET = "s3cretpw"  # noqa: S105 - a test's


def configuration(
    number: int, *, advert: int = 1, interface: str = "eth1", script: bool = True
) -> str:
    """What a controller sends to one of two nodes (0 or 1): unicast, a check, a routing table."""
    checked = """
vrrp_script check_script {
    script /var/lib/octavia/vrrp/check_script.sh
    interval 1
    fall 2
    rise 1
}
"""
    tracked = """
    track_script {
        check_script
    }
"""
    return f"""\
{checked if script else ""}
vrrp_instance {"a" * 32} {{
    interface {interface}
    virtual_router_id 1
    priority {(100, 90)[number]}
    nopreempt
    accept
    garp_master_refresh 5
    garp_master_refresh_repeat 2
    advert_int {advert}
    authentication {{
        auth_type PASS
        auth_pass {SECRET}
    }}

    unicast_src_ip {OWN[number]}
    unicast_peer {{
        {OWN[1 - number]}
    }}

    virtual_ipaddress {{
        {VIP}
    }}

    virtual_ipaddress_excluded {{
    }}

    virtual_routes {{
        {SUBNET} dev {interface} src {VIP} scope link table 1
        default via 203.0.113.1 dev {interface} onlink table 1
    }}

    virtual_rules {{
        from {VIP}/32 table 1 priority 100
    }}
{tracked if script else ""}
}}
"""


def make_keepalived(network: Network, folder: Path, *, key: Path | None = None) -> Keepalived:
    """A node's keepalived as the agent makes it."""
    return Keepalived(
        program=Path(need.program("keepalived")),
        namespace=network.namespace,
        run_dir=folder / "run",
        state_dir=folder / "state",
        script_user=("nobody", "nogroup"),
        vault=Vault(directory=folder / "state" / "secrets", key_file=key),
        drop_addresses=network.drop_vips,
    )


@dataclass(kw_only=True)
class Node:
    """One of two; `number` is 0 or 1."""

    number: int
    namespace: str
    folder: Path
    network: Network
    keepalived: Keepalived

    @property
    def holds(self) -> bool:
        """Whether it has the shared address now, by iproute2's word."""
        return netns.holds(self.namespace, VIP)

    def pids(self) -> list[int]:
        """The pids of every keepalived of this node."""
        run_dir = str(self.folder / "run").encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if b"keepalived\0" in command and run_dir in command:
                    found.append(int(process.name))
        return found

    def daemons(self) -> tuple[str, str]:
        """The pids of its keepalived, parent and child; a third that is there is about to check."""
        vrrp_dir = self.folder / "run" / "vrrp"
        return (vrrp_dir / "keepalived.pid").read_text(), (vrrp_dir / "vrrp.pid").read_text()

    def log(self) -> str:
        """What its present keepalived has said."""
        said = (self.folder / "run" / "vrrp" / "keepalived.log").read_text()
        return said.rpartition("Starting Keepalived")[2]

    def kill(self) -> None:
        """SIGKILL for all of its keepalived at once: nothing can clean up."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def restart_agent(self) -> None:
        """Have another agent in the place of this one, as after an upgrade."""
        self.keepalived.close()
        self.keepalived = make_keepalived(self.network, self.folder)
        self.keepalived.open()


@contextlib.contextmanager
def pair() -> Iterator[tuple[Node, Node]]:
    """Two nodes, plugged into one bridge in a third namespace that also has .1; none runs yet."""
    netns.must_be_possible()
    need.program("keepalived")
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(netns.namespace())
        netns.ip("link", "add", "br0", "type", "bridge", namespace=switch)
        netns.ip("link", "set", "br0", "up", namespace=switch)
        netns.ip("address", "add", "203.0.113.1/24", "dev", "br0", namespace=switch)
        nodes = [_node(stack, switch, number) for number in (0, 1)]
        yield nodes[0], nodes[1]


def _node(stack: contextlib.ExitStack, switch: str, number: int) -> Node:
    space = stack.enter_context(netns.namespace())
    folder = folders.folder()
    mac, port = f"02:00:00:00:15:0{number}", f"port{number}"
    netns.cable((space, "eth1", mac), (switch, port, f"02:00:00:00:15:8{number}"))
    netns.ip("link", "set", port, "master", "br0", "up", namespace=switch)
    network = Network(netns=space, state_dir=folder / "state")
    network.restore()
    network.use_topology(ACTIVE_STANDBY)
    home = Home(address=ipaddress.ip_address(VIP), subnet=ipaddress.ip_network(SUBNET))
    network.plug_vip(Plug(mac=mac, vips=(home,), vrrp_ip=ipaddress.ip_address(OWN[number])))
    keepalived = make_keepalived(network, folder)
    keepalived.open()
    node = Node(
        number=number, namespace=space, folder=folder, network=network, keepalived=keepalived
    )
    stack.callback(_end, node)
    return node


def _end(node: Node) -> None:
    with contextlib.suppress(Exception):
        node.keepalived.stop()
    node.keepalived.close()


class Sightings:
    """Watches, as a context, who has the shared address, and when that changed."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = nodes
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._known: dict[int, bool] = {}
        self.changes: list[tuple[float, int, bool]] = []
        """(monotonic time, number of the node, whether it has the address since)"""

    def __enter__(self) -> Sightings:
        self._known = {node.number: node.network.holds(ADDRESS) for node in self._nodes}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def when(self, node: Node, *, has: bool, after: float) -> float:
        """Seconds from `after` until `node` had, or had not, the address; waits for it."""

        def seen() -> list[float]:
            return [
                at - after
                for at, number, had in list(self.changes)
                if number == node.number and had is has and at >= after
            ]

        wait.until(seen, f"node {node.number} {'has' if has else 'has dropped'} the address", 30)
        return seen()[0]

    def _look(self) -> None:
        known = self._known
        while not self._ends.wait(0.01):
            for node in self._nodes:
                has = node.network.holds(ADDRESS)
                if has is not known[node.number]:
                    known[node.number] = has
                    self.changes.append((time.monotonic(), node.number, has))


def holder(nodes: tuple[Node, Node]) -> Callable[[], Node | None]:
    """A question: which node alone has the address now?"""

    def ask() -> Node | None:
        having = [node for node in nodes if node.holds]
        return having[0] if len(having) == 1 else None

    return ask
