"""A real OpenStack for tests: started by a script that is no part of the project.

`LIBRA_TEST_OPENSTACK` is the path of that script, `up.sh`, with a `down.sh` beside it. It brings
up keystone, placement, glance, neutron and nova with a hypervisor that boots nothing, and leaves
below `$BENCH_DIR` (default /var/tmp/openstack-bench): `clouds.yaml` with the clouds `bench` (a
member) and `bench-admin`, `run/SERVICE.pid` with the leaders of process groups, and
`cl/bin/openstack`. There are the image bench-image, the flavors bench.small and bench.huge (no
host has room for it), the networks lbaas-net and public (external), the group lbaas and the key
bench-key. A server's name asks for faults: slowN, failspawn, abort, faildel.

Without the script the tests of the client alone take the cloud that `OS_CLOUD` names, with
`LIBRA_TEST_IMAGE`, `LIBRA_TEST_FLAVOR`, `LIBRA_TEST_NETWORK`, `LIBRA_TEST_FLOATING_NETWORK`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack.connection import Connection

from tests.support.wait import until

_STARTER = "LIBRA_TEST_OPENSTACK"
_PLACE = "/var/tmp/openstack-bench"  # noqa: S108 - the starter's own default
_PATIENCE = 900  # seconds: the first time it has to be installed


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What a test needs to know of a cloud, whoever runs it."""

    name: str
    clouds_file: Path | None
    image: str
    flavor: str
    network: str
    floating_network: str
    group: str = ""
    key: str = ""

    def mgm(self) -> dict[str, object]:
        """The settings of [mgm] for a pool manager in this cloud."""
        return {
            "cloud": "nova",
            "nova_image": self.image,
            "nova_image_size": self.flavor,
            "nova_net_id": self.network,
            "nova_secgroup": self.group,
            "nova_keyname": self.key,
        }

    def nova(self) -> dict[str, object]:
        """The settings of [mgm:nova]."""
        return {
            "os_cloud": self.name,
            "clouds_file": self.clouds_file or "",
            "address_network": self.network,
            "floating_network": self.floating_network,
        }

    def connect(self) -> Connection:
        """openstacksdk, to look from outside at what was done."""
        files = [str(self.clouds_file)] if self.clouds_file else None
        config = openstack.config.OpenStackConfig(config_files=files)
        return Connection(config=config.get_one(cloud=self.name, api_timeout=60.0))


def any_cloud() -> Cloud | None:
    """The cloud of OS_CLOUD, if the environment tells all that is needed."""
    names = {
        "name": "OS_CLOUD",
        "image": "LIBRA_TEST_IMAGE",
        "flavor": "LIBRA_TEST_FLAVOR",
        "network": "LIBRA_TEST_NETWORK",
        "floating_network": "LIBRA_TEST_FLOATING_NETWORK",
    }
    told = {field: os.environ.get(variable, "") for field, variable in names.items()}
    return Cloud(clouds_file=None, **told) if all(told.values()) else None


@dataclass
class OpenStack:
    """The control plane of the starter; what one test changes is put back by the same test."""

    flavor: str = "pip"
    place: Path = field(default_factory=lambda: Path(os.environ.get("BENCH_DIR", _PLACE)))

    def __post_init__(self) -> None:
        self.cloud = Cloud(
            name="bench",
            clouds_file=self.place / "clouds.yaml",
            image="bench-image",
            flavor="bench.small",
            network="lbaas-net",
            floating_network="public",
            group="lbaas",
            key="bench-key",
        )
        self._ended: dict[str, tuple[list[str], dict[str, str]]] = {}

    # -- life ----------------------------------------------------------------------------------

    def up(self) -> None:
        """Start whatever of it is not running."""
        self._run("up.sh")

    def connect(self) -> None:
        """Log in as a member of the project, and as the administrator."""
        self.member = self.cloud.connect()
        self.admin = Connection(
            config=openstack.config.OpenStackConfig(
                config_files=[str(self.cloud.clouds_file)]
            ).get_one(cloud="bench-admin", api_timeout=60.0)
        )

    def down(self) -> None:
        """Stop all of it."""
        self.wipe()
        self._run("down.sh")

    def is_up(self) -> bool:
        """Whether its services run, of the flavor that is wanted."""
        services = ("keystone", "placement", "glance", "neutron", "nova-api", "nova-compute")
        return self.running_flavor() == self.flavor and all(map(self._alive, services))

    def running_flavor(self) -> str:
        """Which flavor runs; "" for none."""
        with contextlib.suppress(OSError):
            if self._alive("keystone"):
                return (self.place / "run" / "flavor").read_text().strip()
        return ""

    def _alive(self, service: str) -> bool:
        try:
            os.kill(self._pid(service), 0)
        except (OSError, ValueError):
            return False
        return True

    def _pid(self, service: str) -> int:
        return int((self.place / "run" / f"{service}.pid").read_text())

    def _run(self, script: str) -> None:
        starter = Path(os.environ[_STARTER]).absolute()
        done = subprocess.run(
            [starter.with_name(script)],
            env={**os.environ, "BENCH_DIR": str(self.place), "BENCH_FLAVOR": self.flavor},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{script}: {done.stdout}"

    # -- looking at it ---------------------------------------------------------------------------

    def command(self, *words: str) -> Any:
        """What the `openstack` command says, as a member of the project."""
        done = subprocess.run(
            [self.place / "cl" / "bin" / "openstack", *words, "-f", "json"],
            env={
                **os.environ,
                "OS_CLOUD": "bench",
                "OS_CLIENT_CONFIG_FILE": str(self.cloud.clouds_file),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def servers(self) -> dict[str, Mapping[str, Any]]:
        """The project's servers by name."""
        found = self.member.compute.get("/servers/detail")
        assert found.status_code == 200, found.text
        every = found.json()["servers"]
        # For a moment nova also lists what it has just deleted.
        return {one["name"]: one for one in every if one["status"] != "DELETED"}

    def addresses(self) -> dict[str, Mapping[str, Any]]:
        """The project's floating IPs."""
        found = self.member.network.get("/floatingips")
        assert found.status_code == 200, found.text
        return {one["floating_ip_address"]: one for one in found.json()["floatingips"]}

    def wipe(self) -> None:
        """Remove all servers and floating IPs of the project, however stubborn."""
        for one in self.addresses().values():
            self.member.network.delete_ip(one["id"])
        for one in self.servers().values():
            if "faildel" in one["name"]:  # its own name makes it stay
                self.admin.compute.put(f"/servers/{one['id']}", json={"server": {"name": "go"}})
        deadline = time.monotonic() + 600
        while left := self.servers():
            assert time.monotonic() < deadline, f"the project still has {left}"
            for one in left.values():  # again and again: nova loses one while a service is dead
                self.member.compute.delete_server(one["id"])
            with contextlib.suppress(AssertionError):
                until(lambda: not self.servers(), "the project has no servers left", 10)

    # -- faults ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def quota(self, *, instances: int = 50, addresses: int = 20, ports: int = -1) -> Iterator[None]:
        """Let the project have no more than this."""
        self._set_quota(instances, addresses, ports)
        try:
            yield
        finally:
            self._set_quota(50, 20)

    def _set_quota(self, instances: int, addresses: int, ports: int = -1) -> None:
        project = self.member.current_project_id
        told = self.admin.compute.put(
            f"/os-quota-sets/{project}",
            json={"quota_set": {"instances": instances, "cores": -1, "ram": -1, "force": True}},
        )
        assert told.status_code == 200, told.text
        told = self.admin.network.put(
            f"/quotas/{project}",
            json={"quota": {"floatingip": addresses, "port": ports}},
        )
        assert told.status_code == 200, told.text

    @contextlib.contextmanager
    def hung(self, service: str) -> Iterator[None]:
        """Stop a service's processes without ending them: connections are taken, not answered."""
        group = self._pid(service)
        os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(group, signal.SIGCONT)

    @contextlib.contextmanager
    def dead(self, service: str) -> Iterator[None]:
        """Kill a service, and start it again in the end with the very command it was started by."""
        pid = self._pid(service)
        command = _words(Path(f"/proc/{pid}/cmdline"))
        environment = dict(one.split("=", 1) for one in _words(Path(f"/proc/{pid}/environ")))
        os.killpg(pid, signal.SIGKILL)
        until(lambda: not self._alive(service) or _is_zombie(pid), f"{service} is dead")
        try:
            yield
        finally:
            if not Path(command[0]).is_file():  # it had written words of its own over it
                self.up()
            else:
                self._start(service, command, environment)

    def restart(self, service: str) -> None:
        """Have a service read its settings anew, and wait until it works again."""
        with self.dead(service):
            pass
        self.wait_for(service)

    def wait_for(self, service: str) -> None:
        """Wait until all works again after `service` was away."""
        until(self.works, f"all works after {service} was away", 120)
        if service in ("nova-scheduler", "nova-conductor", "nova-compute"):
            until(lambda: self._is_up(service), f"nova knows that {service} is up", 120)

    def _is_up(self, service: str) -> bool:
        """Whether nova has heard of the process that runs now."""
        started = (self.place / "run" / f"{service}.pid").stat().st_mtime
        return any(
            one.state == "up"
            and datetime.fromisoformat(f"{one.updated_at}+00:00").timestamp() > started + 1
            for one in self.admin.compute.services(binary=service)
        )

    def _start(self, service: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.place / "log" / f"{service}.log").open("ab") as log:
            again = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.place / "run" / f"{service}.pid").write_text(f"{again.pid}\n")

    def works(self) -> bool:
        """Whether each service answers a member at this moment."""
        try:
            self.cloud.connect().session.get_token()
            return all(
                answer.status_code == 200
                for answer in (
                    self.member.compute.get("/servers/detail"),
                    self.member.compute.get("/flavors"),
                    self.member.network.get("/floatingips"),
                    self.member.image.get("/images"),
                )
            )
        except Exception:  # noqa: BLE001 - whatever a client makes of a dead service
            return False


@contextlib.contextmanager
def started(flavor: str = "pip") -> Iterator[OpenStack]:
    """The starter's control plane, for this run alone; stopped at the end if it was not up."""
    if not os.environ.get(_STARTER):
        # Not `missing`: it is not the project's to install, on no machine.
        pytest.skip(f"no OpenStack here: {_STARTER} does not name a starter's up.sh")
    cloud = OpenStack(flavor=flavor)
    with Path(f"{cloud.place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cloud.running_flavor() not in ("", flavor):
            pytest.skip(f"an OpenStack of another release runs in {cloud.place}")
        was_up = cloud.is_up()
        if not was_up:
            cloud.up()
        cloud.connect()
        cloud.wipe()
        try:
            yield cloud
        finally:
            if was_up:
                cloud.wipe()
            else:
                cloud.down()


def _words(path: Path) -> list[str]:
    return [word.decode() for word in path.read_bytes().split(b"\0") if word]


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
