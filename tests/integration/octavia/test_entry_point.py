"""The agent as Octavia's own driver-agent runs it, by its entry point."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.octavia_api import OctaviaApi
from tests.support.ports import free_port
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Running:
    """Octavia with Libra's own agent in its driver-agent; devices are files."""

    def __init__(self, folder: Path) -> None:
        settings, self._pid, self.devices = (folder / n for n in ("libra.cfg", "pid", "devices"))
        self.devices.mkdir()
        self.octavia = OctaviaApi(settings, devices=self.devices)
        # The sockets are in Octavia's folder, which is known from here on.
        settings.write_text(
            f"[octavia]\ninventory = sqlite:///{folder / 'inventory.db'}\npid = {self._pid}\n"
            f"driver_agent_sockets = {self.octavia.folder}\n"
            "devices = tests.support.file_devices\n"
            f"[gearman]\nservers = 127.0.0.1:{free_port()}\n"
        )

    def pid(self) -> int:
        """The agent's process, 0 while there is none."""
        try:
            found = int(self._pid.read_text())
            os.kill(found, 0)
        except (OSError, ValueError):
            return 0
        return found

    def create(self) -> str:
        fields = {
            "vip_subnet_id": str(uuid.uuid4()),
            "listeners": [
                {
                    "protocol": "TCP",
                    "protocol_port": 25,
                    "default_pool": {
                        "name": "pool",
                        "protocol": "TCP",
                        "lb_algorithm": "ROUND_ROBIN",
                    },
                }
            ],
        }
        made = self.octavia.call("POST", "loadbalancers", {"loadbalancer": fields})["loadbalancer"]
        assert self.octavia.settled(f"loadbalancers/{made['id']}") == "ACTIVE"
        return str(made["id"])

    def text(self, name: str) -> str:
        """What a load balancer is served by."""
        return (self.devices / f"{name}.cfg").read_text()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    with found.octavia:
        until(found.pid, "the agent runs", seconds=60)
        yield found


def test_the_agent_survives_a_kill_and_ends_with_driver_agent(running: Running) -> None:
    assert ":25\n" in running.text(running.create())
    # When it is killed, it is started again and goes on
    first = running.pid()
    os.kill(first, signal.SIGKILL)
    until(lambda: running.pid() not in (0, first), "it was started again", seconds=60)
    assert running.text(running.create())
    # And when driver-agent ends, so does it
    running.octavia.stop_agent()
    until(lambda: not running.pid(), "it has ended")


def test_whenever_the_agent_is_killed_each_operation_ends_and_is_served(running: Running) -> None:
    chance = random.Random(7)
    balancer = running.create()
    (pool,) = running.octavia.call("GET", "pools")["pools"]
    members = f"pools/{pool['id']}/members"
    ports: dict[int, str] = {}
    for number in range(6):
        port = 1000 + number
        if number % 3 == 2:
            gone = chance.choice(sorted(ports))
            running.octavia.call("DELETE", f"{members}/{ports.pop(gone)}")
        else:
            fields = {"address": "192.0.2.1", "protocol_port": port}
            made = running.octavia.call("POST", members, {"member": fields})
            ports[port] = made["member"]["id"]
        # The agent dies at any moment of its work, or just before or after it.
        time.sleep(chance.uniform(0.0, 0.8))
        if pid := running.pid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert running.octavia.settled(f"loadbalancers/{balancer}", 120) == "ACTIVE"
        shown = running.octavia.call("GET", members)["members"]
        assert {one["protocol_port"] for one in shown} == set(ports)
        assert {one["provisioning_status"] for one in shown} <= {"ACTIVE"}
        served = re.findall(r"server \S+ 192\.0\.2\.1:(\d+) ", running.text(balancer))
        assert {int(one) for one in served} == set(ports)
