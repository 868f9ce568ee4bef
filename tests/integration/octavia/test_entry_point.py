"""The agent as Octavia's own driver-agent runs it, by its entry point."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.support.octavia_api import OctaviaApi
from tests.support.ports import free_port
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_driver_agent_starts_the_agent_which_survives_a_kill_and_ends_with_it(
    tmp_path: Path,
) -> None:
    settings, pid_file, devices = (tmp_path / name for name in ("libra.cfg", "pid", "devices"))
    devices.mkdir()
    # The sockets are in Octavia's folder, which is known once Octavia is made.
    octavia = OctaviaApi(settings, devices=devices)
    settings.write_text(
        f"[octavia]\ninventory = sqlite:///{tmp_path / 'inventory.db'}\npid = {pid_file}\n"
        f"driver_agent_sockets = {octavia.folder}\ndevices = tests.support.file_devices\n"
        f"[gearman]\nservers = 127.0.0.1:{free_port()}\n"
    )

    def running() -> int:
        try:
            return int(pid_file.read_text())
        except (OSError, ValueError):
            return 0

    def create() -> Path:
        made = octavia.call(
            "POST",
            "loadbalancers",
            {
                "loadbalancer": {
                    "vip_subnet_id": str(uuid.uuid4()),
                    "listeners": [{"protocol": "TCP", "protocol_port": 25}],
                }
            },
        )["loadbalancer"]
        assert octavia.settled(f"loadbalancers/{made['id']}") == "ACTIVE"
        return devices / f"{made['id']}.cfg"

    with octavia:
        until(running, "the agent runs", seconds=60)
        assert ":25\n" in create().read_text()
        # When it is killed, it is started again and goes on
        first = running()
        os.kill(first, signal.SIGKILL)
        until(lambda: running() not in (0, first), "it was started again", seconds=60)
        assert create().exists()
        # And when driver-agent ends, so does it
        last = running()
        octavia.stop_agent()
        until(lambda: not Path(f"/proc/{last}").exists(), "it has ended")
