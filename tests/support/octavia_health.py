"""The way up in a test: a receiver, its inventory, devices that speak, an Octavia that hears."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libra_amphora.heartbeat import packet
from libra_common.settings import Settings, load
from libra_octavia.agent.octavia import Octavia
from libra_octavia.devices.api import Api, Apis
from libra_octavia.devices.certificates import Certificates
from libra_octavia.health.service import Health
from libra_octavia.inventory import (
    Database,
    Device,
    Devices,
    Intents,
    Kind,
    Leases,
    Operation,
    Wish,
)
from tests.support.octavia_cloud import OctaviaCloud
from tests.support.octavia_trees import listener, member, monitor, pool, tree
from tests.support.ports import free_port

KEY = "the key of heartbeats"


def settings(folder: Path, **more: object) -> Settings:
    """Settings of an agent that receives on loopback."""
    values = {
        "heartbeat_key": KEY,
        "heartbeat_bind": f"127.0.0.1:{free_port()}",
        "heartbeat_silence": 5,
        **more,
    }
    file = folder / "libra.cfg"
    lines = [f"{name} = {value}" for name, value in values.items()]
    file.write_text("\n".join(["[octavia]", *lines, ""]))
    return load(["--config-file", str(file)], prog="libra_octavia")


@dataclass
class Hearing:
    """octavia-lib's library, as far as health needs it; keeps what it is told, in order."""

    calls: list[dict[str, list[dict[str, Any]]]] = field(default_factory=list)
    statistics: list[dict[str, int]] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None

    def get_loadbalancer(self, loadbalancer_id: str) -> Any:
        self.before()
        if loadbalancer_id != "lb":
            return None
        checks = monitor(healthmonitor_id="h")
        members = [member(member_id=name) for name in ("m1", "m2")]
        pools = [pool(pool_id="p", healthmonitor=checks, members=members)]
        return tree([listener(listener_id="l", default_pool_id="p")], pools, loadbalancer_id="lb")

    def get_pool(self, pool_id: str) -> Any:
        raise AssertionError(pool_id)

    get_listener = get_member = get_healthmonitor = get_l7policy = get_l7rule = get_pool

    def update_loadbalancer_status(self, status: dict[str, list[dict[str, Any]]]) -> None:
        self.before()
        self.calls.append(status)
        for rows in status.values():
            for row in rows:
                assert "provisioning_status" not in row
                self.words[row["id"]] = row["operating_status"]

    def update_listener_statistics(self, statistics: dict[str, list[dict[str, Any]]]) -> None:
        self.before()
        (section,) = statistics
        assert section == "listeners"
        self.statistics.append({row["id"]: row["bytes_in"] for row in statistics[section]})
        for row in statistics[section]:
            self.counts[row["id"]] = {name: n for name, n in row.items() if name != "id"}


@contextlib.contextmanager
def listening(found: Settings, database: Database, hearing: Hearing) -> Iterator[Health]:
    health = Health(settings=found, database=database, octavia=Octavia(lambda: hearing))
    health.start()
    try:
        yield health
    finally:
        health.stop(20)


def serve(database: Database, *devices: str, worded: Collection[str] = ()) -> None:
    """Have the load balancer `lb` be one that was served just now by these devices.

    Of the `worded` objects whoever served it has told how they work.
    """
    intents, leases = Intents(database), Leases(database, seconds=60)
    intents.record(
        Wish(
            operation=Operation.UPDATE,
            kind=Kind.LOAD_BALANCER,
            object_id="lb",
            load_balancer_id="lb",
        )
    )
    for name in devices:
        Devices(database).put(
            Device(name=name, state="ready", load_balancer_id="lb", amphora_id=name)
        )
    lease = leases.claim("lb")
    assert lease is not None
    intents.remember("lb", ["lb", "l", "p", "m1", "m2", "h"])
    leases.complete(lease, [one.number for one in intents.of("lb")], worded=worded)


def device_api(cloud: OctaviaCloud, device: Device) -> Api:
    """A device's API, with the rights of whoever serves it now."""
    ours = load(["--config-file", str(cloud.agents[0].config)], prog="libra_octavia").octavia
    certificates = Certificates(
        folder=ours.ca_dir, days=ours.certificate_days, devices=Devices(cloud.database)
    )
    apis = Apis(context=certificates.context, port=ours.device_port, connect_timeout=5, timeout=30)
    who = (str(device.amphora_id), str(device.address))
    return apis.of(*who, fence=apis.of(*who, fence=0).standing().fence)


class Speaking:
    """A device that says at once, and then ten times a second, what a test makes it say."""

    def __init__(self, *ports: int, name: str = "amp", boot: int = 1) -> None:
        self.name = name
        self.boot = boot
        self.sequence = 0
        self.bytes = 0
        self.members = {"m1": "UP", "m2": "UP"}
        self.status = "UP"
        self.mute = False
        self.sent: list[bytes] = []
        self._ports = ports
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Speaking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()

    def say(self) -> None:
        count = self.bytes
        stats = {"tx": 2 * count, "rx": count, "conns": 1, "totconns": count, "ereq": 0}
        said = {
            "id": self.name,
            "seq": self.sequence,
            "boot": self.boot,
            "ver": 2,
            "listeners": {"l": {"status": "OPEN", "stats": stats}},
            "pools": {"p:l": {"status": self.status, "members": dict(self.members)}},
        }
        self.send(packet(said, KEY))
        self.sequence += 1

    def send(self, data: bytes) -> None:
        """Any datagram, to one agent after the other."""
        self.sent.append(data)
        port = self._ports[self.sequence % len(self._ports)]
        self._socket.sendto(data, ("127.0.0.1", port))

    def _run(self) -> None:
        while not self._ends.is_set():
            if not self.mute:
                self.say()
            self._ends.wait(0.1)
