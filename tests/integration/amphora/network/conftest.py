"""What the agent's tests share: a namespace with a cable to a neighbour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from libra_amphora.network import Network
from tests.support import netns


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A node's namespace, and a neighbour's whose end is `peer`; the node's end is not plugged."""

    node: str
    neighbour: str
    mac: str
    peer: str
    name: str


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A cable between two new namespaces, the neighbour having .1 and ::1 of both subnets."""
    netns.must_be_possible()
    with netns.namespace() as node, netns.namespace() as neighbour:
        made = Wire(
            node=node, neighbour=neighbour, mac="02:00:00:00:12:01", peer="peer", name="port7"
        )
        netns.cable((node, made.name, made.mac), (neighbour, made.peer, "02:00:00:00:12:99"))
        netns.ip("link", "set", made.peer, "up", namespace=neighbour)
        for address in ("203.0.113.1/24", "198.18.0.1/24", "fd00:18::1/64"):
            extra = ["nodad"] if ":" in address else []
            netns.ip("address", "add", address, "dev", made.peer, *extra, namespace=neighbour)
        yield made


@pytest.fixture
def network(wire: Wire, tmp_path: Path) -> Network:
    """The networking of the node, with nothing plugged yet."""
    made = Network(netns=wire.node, state_dir=tmp_path / "state")
    made.restore()
    return made
