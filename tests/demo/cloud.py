"""The whole form: a pool manager builds the node as a device, and gives it a floating IP.

Device, web servers and clients live in network namespaces of their own; see
`libra_pool_mgm.clouds.local`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Network
from pathlib import Path

from libra_common.errors import LibraError
from libra_pool_mgm.clouds.local import needs
from libra_pool_mgm.clouds.local.account import account
from libra_pool_mgm.clouds.local.outer import Outer
from tests.demo.scene import POOL, Scene
from tests.demo.stage import HOST, Stage, haproxy_user
from tests.demo.steps import STEPS as LIFE
from tests.demo.steps import Step
from tests.demo.traffic import Target

DEVICES, ADDRESSES = IPv4Network("198.18.0.0/15"), IPv4Network("203.0.113.0/24")
GATEWAY = str(DEVICES[1])
"""Where the web servers are: in the outer namespace, beside the devices."""

_PORT = 80


class CloudStage(Stage):
    """A pool manager with the local cloud, and what it builds."""

    def __init__(self, *, gearmand: str, haproxy: str) -> None:
        super().__init__(gearmand=gearmand, haproxy=haproxy)
        self._outer = Outer(folder=self.folder / "cloud", devices=DEVICES)
        self.address = ""

    def entered(self) -> AbstractContextManager[None]:
        """Have the calling thread in the outer namespace."""
        return self._outer.entered()

    def start_pool_manager(self) -> int:
        """Start the pool manager, wait until gearmand knows it, and return its process id."""
        settings: dict[str, dict[str, object]] = {
            "DEFAULT": {"log_file": self.folder / "pool.log"},
            "gearman": {"servers": f"{HOST}:{self.gearman_port}"},
            "mgm": {
                "cloud": "local",
                "node_basename": "demo",
                "pid": self.folder / "pool.pid",
            },
            "mgm:local": {
                "folder": self.folder / "cloud",
                "devices": DEVICES,
                "addresses": ADDRESSES,
                "haproxy": self.haproxy,
                **({"user": self.user, "group": self.user} if self.user else {}),
            },
        }
        return self._start_daemon("libra_pool_mgm.main", POOL, settings)

    def start_webs(self) -> None:
        """Start the three web servers, in the outer namespace."""
        with self.entered():
            for number in (1, 2, 3):
                self.start_web(number, GATEWAY)

    def turn_to(self, host: str) -> None:
        """Have the clients turn to this address."""
        self.target = Target(host=host, port=_PORT, entered=self.entered)

    def way_in(self) -> str:
        """What anybody may type in another terminal to be such a client."""
        return f"nsenter --net={self._outer.path} curl http://{self.target.host}/"

    def logs(self) -> Sequence[str]:
        """Those of the pool manager and of the device."""
        device = self.folder / "cloud" / "d"
        found = [*device.glob("*/guard.log"), *device.glob("*/log/worker.log")]
        return ("libra_pool_mgm.out", "pool.log", *map(str, found))


def why_not() -> str:
    """Why namespaces cannot be had here; empty where they can."""
    user = haproxy_user() if os.geteuid() == 0 else ""
    haproxy = shutil.which("haproxy")
    try:
        who = account(user=user, group=user)
        needs.prove(changes_user=who.changes)
        if haproxy is not None:
            who.prove(Path(haproxy))
    except LibraError as error:
        return str(error)
    return ""


def start(scene: Scene) -> None:
    """Start gearmand and the pool manager."""
    stage = _stage(scene)
    version = stage.start_gearmand()
    pid = stage.start_pool_manager()
    rows = [
        ("gearmand", f"{HOST}:{stage.gearman_port}", f"version {version}"),
        ("libra_pool_mgm", POOL, f"pid {pid}, its cloud is this machine"),
    ]
    scene.screen.table(("part", "where", ""), rows)
    known = stage.function(POOL)
    scene.check(known.workers, f"gearmand knows {POOL}, and {known.workers} of its slots wait")


def build(scene: Scene) -> None:
    """Have a device built."""
    stage = _stage(scene)
    added = scene.order({"action": "BUILD_DEVICE"})
    stage.node = added["name"]
    stage.turn_to(added["addr"])
    scene.check(
        stage.function(stage.node).workers,
        f"ready in {scene.seconds:.1f} s: its worker is registered and answered DIAGNOSTICS",
    )
    stage.start_webs()
    rows = [(web.name, f"{GATEWAY}:{web.port}", "answers with its name")
            for web in stage.webs.values()]  # fmt: skip
    scene.screen.line("and beside it, outside of the device:")
    scene.screen.table(("part", "where", ""), rows)


def address(scene: Scene) -> None:
    """Have a floating IP made and routed to the device."""
    stage = _stage(scene)
    stage.address = scene.order({"action": "BUILD_IP"})["ip"]
    stage.turn_to(stage.address)
    scene.check(_unreachable(scene), f"there is no way to {stage.address} yet")
    scene.order({"action": "ASSIGN_IP", "ip": stage.address, "name": stage.node})
    scene.expect_refused()
    scene.screen.line("It refuses because it is there, and no load balancer yet. As its client:")
    scene.screen.line(stage.way_in())


def remove(scene: Scene) -> None:
    """Take the floating IP away and delete the device."""
    stage = _stage(scene)
    scene.order({"action": "REMOVE_IP", "ip": stage.address, "name": stage.node})
    scene.check(_unreachable(scene), f"there is no way to {stage.address} any more")
    scene.order({"action": "DELETE_IP", "ip": stage.address})
    scene.order({"action": "DELETE_DEVICE", "name": stage.node})
    scene.check(
        not stage.function(stage.node).workers, "gearmand knows no worker of that name any more"
    )
    left = list((stage.folder / "cloud" / "d").iterdir())
    scene.check(not left, "no process and no file of the device is left", left)


def _unreachable(scene: Scene) -> bool:
    """Whether connecting fails with anything but a refusal, which only a host can send."""
    try:
        scene.stage.target.connect().close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return False


def _stage(scene: Scene) -> CloudStage:
    assert isinstance(scene.stage, CloudStage)
    return scene.stage


STEPS = (
    Step(
        "The parts start",
        "A real gearmand, and a pool manager whose cloud is this machine.",
        start,
    ),
    Step(
        "BUILD_DEVICE: a node of its own",
        "A network namespace with a libra_worker and an HAProxy, which gearmand knows by name.",
        build,
    ),
    Step(
        "BUILD_IP, ASSIGN_IP: an address that clients know",
        "A floating IP is routed to one device, and may go to another later.",
        address,
    ),
    *LIFE,
    Step(
        "REMOVE_IP, DELETE_IP, DELETE_DEVICE: all of it goes",
        "What the cloud gave, it takes back.",
        remove,
    ),
)
