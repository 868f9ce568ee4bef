"""All of Libra as a provider of Octavia, from REST to traffic, in a network namespace of its own.

Real octavia-api and driver-agent, gearmand, libra_octavia, libra_pool_mgm with the local cloud
(`outer = own`), and the devices that it builds. Whoever is inside the `with` block is in that
namespace too, with the calling thread and all that it starts, and reaches load balancers by their
addresses; members are servers that listen at `GATEWAY`.

    with OctaviaCloud() as cloud:
        lb = cloud.balancer()
        front = cloud.create("listeners", loadbalancer_id=lb["id"], protocol="HTTP", ...)
        get(80, host=lb["vip_address"])
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libra_common.settings import load
from libra_octavia.inventory import Database, Device, Devices, Port, Ports
from libra_pool_mgm.clouds.base import Device as CloudDevice
from libra_pool_mgm.clouds.base import Port as CloudPort
from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.cloud import LocalCloud
from libra_pool_mgm.clouds.local.opening import local_cloud
from tests.support import folders, netns, octavia_env
from tests.support.agent_process import Agent
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.localcloud import device_user
from tests.support.need import program
from tests.support.octavia_api import OctaviaApi, Refused
from tests.support.pool_manager import PoolManager
from tests.support.traffic import get
from tests.support.wait import until

GATEWAY = "198.18.0.1"
"""The namespace's own address that devices reach members at."""

SUBNET = "6f3c2f76-94a5-4d5d-8f5f-5c8d1a1b9d01"
"""A subnet's id; the network service is Octavia's no-op one, which knows every id."""

MEMBERS_SUBNET = "6f3c2f76-94a5-4d5d-8f5f-5c8d1a1b9d02"

HEARTBEAT_KEY = "a-key-of-the-tests-of-octavia"
FLOATING = "203.0.113.128/25"

_ONE = {"healthmonitors": "healthmonitor", "l7policies": "l7policy"}
_VIPS = (f"203.0.113.{number}" for number in itertools.cycle(range(1, 127)))


class OctaviaCloud:
    """Everything; `octavia` are settings of [octavia], `mgm` of [mgm].

    Of the `agents` all are `started` unless told otherwise; without any the agent is the provider
    agent of Octavia's own driver-agent. Octavia commits `delay` seconds after the driver has
    returned.
    """

    def __init__(
        self,
        *,
        agents: int = 1,
        started: int | None = None,
        delay: float = 0.0,
        octavia: Mapping[str, object] | None = None,
        mgm: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folders.folder()
        self._delay = delay
        self._stack = contextlib.ExitStack()
        self._octavia = dict(octavia or {})
        self._mgm = dict(mgm or {})
        self._names = ["agent" if not n else f"agent{n}" for n in range(agents)] or ["agent"]
        self._own_agents = bool(agents)
        self._started = agents if started is None else started
        self.agents: list[Agent] = []

    # -- life --------------------------------------------------------------------------------

    def __enter__(self) -> OctaviaCloud:
        netns.must_be_possible()
        netns.users_must_be_possible()
        octavia_env.python()  # where it is not installed yet; a namespace reaches no index
        with contextlib.ExitStack() as stack:
            self.namespace = stack.enter_context(netns.namespace())
            descriptor = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            stack.enter_context(kernel.entered(descriptor))
            self.gearmand = stack.enter_context(Gearmand())
            self.api = OctaviaApi(
                self.folder / "agent.cfg",
                delay=self._delay,
                devices=None if self._own_agents else self.folder,
            )
            self._write_configs()
            self.pool = _Pool(self.folder, self.gearmand.address, self._mgm)
            stack.callback(self._remove_everything)
            self.pool.start()
            stack.callback(self._end_agents)
            self.agents = [Agent(self._config(name), self.folder) for name in self._names]
            if self._own_agents:
                # The first one makes the inventory, without which the driver refuses all calls.
                for agent in self.agents[: self._started]:
                    agent.start()
                    self._wait_for_inventory(agent)
            stack.enter_context(self.api)
            if not self._own_agents:
                until(self._inventory_is_there, "the inventory is made", 60)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _remove_everything(self) -> None:
        self.pool.close()
        self.cloud.remove_everything()

    def _end_agents(self) -> None:
        for agent in self.agents:
            agent.close()

    def _inventory_is_there(self) -> bool:
        return (self.folder / "inventory.db").exists()

    def _wait_for_inventory(self, agent: Agent) -> None:
        until(
            lambda: not agent.running or (self.folder / f"{agent.config.stem}.pid").exists(),
            "the agent runs",
            60,
        )
        until(lambda: not agent.running or self._inventory_is_there(), "it made its inventory", 60)
        assert agent.running, self.said()

    def _config(self, name: str) -> Path:
        return self.folder / f"{name}.cfg"

    def _write_configs(self) -> None:
        for name in self._names:
            settings: dict[str, object] = {
                "inventory": f"sqlite:///{self.folder / 'inventory.db'}",
                "driver_agent_sockets": self.api.folder,
                "pid": self.folder / f"{name}.pid",
                "ca_dir": self.folder / "ca",
                "device_boot_timeout": 60,
                "heartbeat_key": HEARTBEAT_KEY,
                "heartbeat_bind": f"{GATEWAY}:5555" if name == "agent" else "127.0.0.1:5556",
                "heartbeat_controllers": f"{GATEWAY}:5555",
                **self._octavia,
            }
            lines = [
                *("[DEFAULT]", "log_level = debug"),
                *("[gearman]", f"servers = {self.gearmand.address}"),
                *("[octavia]", *(f"{key} = {value}" for key, value in settings.items())),
            ]
            self._config(name).write_text("\n".join(lines) + "\n")

    # -- Octavia -----------------------------------------------------------------------------

    def balancer(self, *, settle: bool = True, **fields: Any) -> dict[str, Any]:
        """Create a load balancer with an address of its own."""
        given = {"vip_subnet_id": SUBNET, "vip_address": next(_VIPS), **fields}
        return self.create("loadbalancers", settle=settle, **given)

    def create(
        self, path: str, *, status: str = "ACTIVE", settle: bool = True, **fields: Any
    ) -> dict[str, Any]:
        """Create an object and wait until it, and its load balancer, have settled."""
        collection = path.rpartition("/")[2]
        (made,) = self.api.call("POST", path, {_one(collection): fields}).values()
        if settle:
            self.settle(f"{path}/{made['id']}", status)
            made = self.api.show(f"{path}/{made['id']}") or made
        return dict(made)

    def update(self, path: str, *, status: str = "ACTIVE", **fields: Any) -> None:
        """Change an object."""
        collection = path.split("/")[-2]
        self.api.call("PUT", path, {_one(collection): fields})
        self.settle(path, status)

    def delete(self, path: str, query: str = "") -> None:
        """Delete an object."""
        self.api.call("DELETE", path + query)
        self.settle(path, "DELETED")

    def settle(self, path: str, status: str = "ACTIVE") -> None:
        """Wait until an object has this status, and all load balancers any that is none."""
        found = self.api.settled(path, 120)
        assert found == status, f"{path} is {found}\n{self.said()}"
        for one in self.api.call("GET", "loadbalancers")["loadbalancers"]:
            self.api.settled(f"loadbalancers/{one['id']}", 120)

    def pending(self) -> list[str]:
        """All objects that are PENDING."""
        found = []
        for kind in ("loadbalancers", "listeners", "pools", "healthmonitors"):
            for one in self.api.call("GET", kind)[kind]:
                found.append((f"{kind}/{one['id']}", one["provisioning_status"]))
                if kind == "pools":
                    path = f"pools/{one['id']}/members"
                    found += [
                        (f"{path}/{member['id']}", member["provisioning_status"])
                        for member in self.api.call("GET", path)["members"]
                    ]
        return [f"{path} {status}" for path, status in found if status.startswith("PENDING")]

    # -- what is there -----------------------------------------------------------------------

    @property
    def cloud(self) -> LocalCloud:
        """The local cloud, seen from beside the pool manager."""
        return local_cloud(load(["--config-file", str(self.pool.config)], prog="libra_pool_mgm"))

    @property
    def database(self) -> Database:
        """The inventory."""
        return Database(f"sqlite:///{self.folder / 'inventory.db'}")

    def devices(self) -> list[CloudDevice]:
        """The devices of the cloud."""
        return list(self.cloud.devices())

    def ports(self) -> list[CloudPort]:
        """The ports of the cloud."""
        return list(self.cloud.ports())

    def known_devices(self, balancer: str) -> list[Device]:
        """The devices of a load balancer as the inventory has them."""
        return list(Devices(self.database).of(balancer))

    def known_ports(self, device: str) -> list[Port]:
        return list(Ports(self.database).of(device))

    def members(self, *names: str) -> list[HttpBackend]:
        """Web servers that devices reach, each of which answers with its name."""
        with self._at_home() as stack:
            return [stack.enter_context(HttpBackend(name, host=GATEWAY)) for name in names]

    @contextlib.contextmanager
    def _at_home(self) -> Any:
        # The bridge is there from the first device on; until then nobody could listen there.
        with contextlib.suppress(AssertionError):
            netns.ip("address", "add", f"{GATEWAY}/32", "dev", "lo", namespace=self.namespace)
        yield self._stack

    def serves(self, address: str, body: str, port: int = 80) -> bool:
        """Whether a load balancer answers a request with this at this moment."""
        try:
            return get(port, host=address).body.decode() == body
        except (OSError, http.client.HTTPException):
            return False

    def said(self) -> str:
        """The ends of all logs."""
        paths = [*self.folder.glob("*.log"), self.pool.log, *self.folder.glob("d/*/log/*")]
        ours = "\n".join(
            f"--- {path.name}\n" + path.read_text(errors="replace")[-4000:]
            for path in paths
            if path.is_file()
        )
        return f"{ours}\n{self.api.said()}"


class _Pool(PoolManager):
    """A libra_pool_mgm whose local cloud is in the namespace that it is started in."""

    def __init__(self, folder: Path, server: str, settings: Mapping[str, Any]) -> None:
        self._place = folder
        (folder / "pool").mkdir()
        super().__init__(folder=folder / "pool", servers=[server], **settings)

    def write_config(self, **settings: object) -> None:
        super().write_config(cloud="local", **settings)
        user = device_user()
        lines = [
            "[mgm:local]",
            "outer = own",
            f"folder = {self._place}",
            f"addresses = {FLOATING}",
            f"haproxy = {program('haproxy')}",
            f"user = {user}",
            f"group = {user}",
        ]
        with self.config.open("a") as file:
            file.write("\n".join(lines) + "\n")


def _one(collection: str) -> str:
    return _ONE.get(collection, collection[:-1])


def new_id() -> str:
    return str(uuid.uuid4())


__all__ = ["GATEWAY", "MEMBERS_SUBNET", "SUBNET", "Agent", "OctaviaCloud", "Refused", "new_id"]
