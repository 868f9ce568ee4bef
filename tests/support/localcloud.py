"""A local cloud of a test's own, in a temporary folder, seen from outside and from its middle."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from libra_client.client import Client, Result
from libra_common.jobs import AdminClient, GearmanServer
from libra_common.settings import HostPort
from libra_pool_mgm.clouds.base import Address, Device, DeviceState, DeviceWish
from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.account import account
from libra_pool_mgm.clouds.local.cloud import LocalCloud
from libra_pool_mgm.clouds.local.marks import GUARD_BYTE, INIT_BYTE
from libra_pool_mgm.clouds.local.network import BRIDGE
from libra_pool_mgm.clouds.local.node import NodeSettings
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.traffic import Answer, get
from tests.support.wait import until

PORTS, PORTS_IPV6 = IPv4Network("198.19.0.0/16"), IPv6Network("2001:db8:18::/64")
"""The ranges of ports."""

GATEWAY = "198.18.0.1"
"""The outer namespace's own address, which devices reach web servers at."""


class Site:
    """The cloud, its job server, and a client and web servers in the outer namespace.

    `own`: that is the one that the site is made in, and everything is asked of it from there.
    """

    def __init__(
        self,
        *,
        folder: Path,
        gearmand: Gearmand,
        devices: str = "198.18.0.0/15",
        addresses: str = "203.0.113.0/24",
        user: str = "",
        own: bool = False,
    ) -> None:
        self.folder = folder
        self.own = own
        self.ports = PORTS
        self.gearmand = gearmand
        self.user = user or device_user()
        self.ranges = (devices, addresses)
        self.haproxy = Path(program("haproxy"))
        self._stack = contextlib.ExitStack()
        os.close(self.cloud().outer.open(()))  # so that web servers can be there first

    def cloud(self) -> LocalCloud:
        """A new one each time: nothing is remembered but what is on disk."""
        devices, addresses = self.ranges
        return LocalCloud(
            folder=self.folder,
            addresses=IPv4Network(addresses),
            settings=NodeSettings(
                gearman=[HostPort(self.gearmand.host, self.gearmand.port)],
                haproxy=self.haproxy,
                account=account(user=self.user, group=self.user),
                devices=IPv4Network(devices),
                message_limit=4_194_304,
                ports=self.ports,
                ports_ipv6=PORTS_IPV6,
            ),
            own_outer=self.own,
        )

    def close(self) -> None:
        self._stack.close()
        self.cloud().remove_everything()

    # -- devices -----------------------------------------------------------------------------

    def build(self, *, wait: bool = True, **more: Any) -> Device:
        """A device whose worker is registered."""
        device = self.cloud().create_device(wish(**more))
        if wait:
            self.wait_for(device)
        return device

    def wait_for(self, *devices: Device, seconds: float = 60) -> None:
        names = {device.name for device in devices}
        until(lambda: names <= self.registered(), "the devices' workers are registered", seconds)

    def registered(self) -> set[str]:
        admin = AdminClient(server=GearmanServer(self.gearmand.host, self.gearmand.port))
        return {status.name for status in admin.status() if status.workers}

    def send(self, device: Device, message: Mapping[str, Any]) -> Result:
        return Client([self.gearmand.address]).submit(device.name, message, 60)

    def serve(self, device: Device, *webs: HttpBackend, port: int = 80, **more: Any) -> Result:
        """Have a device balance HTTP over web servers of the outer namespace."""
        nodes = [{"address": web.host, "port": web.port} for web in webs]
        balancer = {"name": "lb", "protocol": "HTTP", "port": port, "nodes": nodes, **more}
        return self.send(device, {"hpcs_action": "UPDATE", "loadBalancers": [balancer]})

    def state(self, device: Device) -> DeviceState:
        found = self.cloud().find_device(device.name)
        assert found is not None
        return found.state

    def folder_of(self, device: Device) -> Path:
        number = int(device.address.rpartition(".")[2]) if device.address else 0
        return self.folder / "d" / str(number)

    def guard_of(self, device: Device) -> int:
        return _pid(self.folder_of(device) / "lock", GUARD_BYTE)

    def init_of(self, device: Device) -> int:
        return _pid(self.folder_of(device) / "lock", INIT_BYTE)

    # -- the middle --------------------------------------------------------------------------

    def web(self, name: str) -> HttpBackend:
        """A web server in the outer namespace that answers with its name."""
        with self.cloud().outer.entered():
            return self._stack.enter_context(HttpBackend(name, host=GATEWAY))

    def get(self, address: str | None, port: int = 80) -> Answer:
        """Ask as a client in the outer namespace does."""
        assert address is not None
        with self.cloud().outer.entered():
            return get(port, host=address)

    # -- what is there -----------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """Every process that names the folder on its command line."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if f"{self.folder}/" in words and entry.name != str(os.getpid()):
                    found[int(entry.name)] = words
        return found

    def of_devices(self) -> list[str]:
        """The command line of every process of a device."""
        return [line for line in self.processes().values() if f"{self.folder}/d/" in line]


def wish(**more: Any) -> DeviceWish:
    key = str(uuid.uuid4())
    return DeviceWish(**{"key": key, "name": f"lt-{key}", **more})


def same_address(one: Address, other: Address | None) -> bool:
    return other is not None and (one.id, one.ip) == (other.id, other.ip)


def device_user() -> str:
    """Whom devices run as: `haproxy`, unless this Python lives where that user may not look."""
    places = (Path(sys.executable).resolve(), Path(__file__).resolve().parent)
    everybody = all(
        place.stat().st_mode & 0o001 for path in places for place in (path, *path.parents[:-1])
    )
    return "haproxy" if everybody else "root"


def traces_on_the_host(site: Site) -> list[str]:
    """Every line of the host's links, addresses, routes, rules and mounts that could be ours."""
    ip = program("ip")
    said = Path("/proc/self/mounts").read_text().splitlines()
    for words in ("link", "addr", "route show table all", "rule"):
        done = subprocess.run(
            [ip, "-oneline", *words.split()], capture_output=True, text=True, check=True, timeout=20
        )
        said += done.stdout.splitlines()
    prefixes = (prefix.rpartition(".")[0].rstrip("0.") for prefix in site.ranges)
    ours = (str(site.folder), BRIDGE, *prefixes)
    return [line for line in said if any(word in line for word in ours)]


def _pid(lock: Path, byte: int) -> int:
    pid = kernel.holder(lock, byte)
    assert pid is not None, f"nobody holds byte {byte} of {lock}"
    return pid


def in_another_process(
    site: Site, *words: str, crash_at: str = "", prefix: Sequence[str] = ()
) -> Any:
    """Do something with the site's cloud in a new process; gives what that prints, or its end."""
    devices, addresses = site.ranges
    place = [str(site.folder), str(site.gearmand.port), devices, addresses, site.user]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "tests.support.localcloud_main", *place, *words],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "LIBRA_CRASH_AT": crash_at},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if crash_at:
        assert done.returncode == -9, f"did not pass {crash_at}: {done.stdout}{done.stderr}"
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
