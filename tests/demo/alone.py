"""The form without namespaces: a single worker on the host's loopback, which needs no rights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from tests.demo.scene import Scene
from tests.demo.stage import HOST, Stage
from tests.demo.steps import STEPS as LIFE
from tests.demo.steps import Step
from tests.demo.traffic import Target
from tests.support.ports import free_port


class AloneStage(Stage):
    """A worker started by hand."""

    node = "demo-node"

    def __init__(self, *, gearmand: str, haproxy: str) -> None:
        super().__init__(gearmand=gearmand, haproxy=haproxy)
        self.target = Target(host=HOST, port=free_port(HOST), entered=nullcontext)

    def start_worker(self) -> int:
        """Start the worker, wait until gearmand knows its name, and return its process id."""
        settings: dict[str, dict[str, object]] = {
            "DEFAULT": {"log_file": self.folder / "worker.log"},
            "gearman": {"servers": f"{HOST}:{self.gearman_port}"},
            "worker": {"name": self.node, "pid": self.folder / "worker.pid"},
            "worker:haproxy": {
                "haproxy": self.haproxy,
                "bind_address": HOST,
                "state_dir": self.folder / "state",
                "run_dir": self.folder / "run",
                "log_dir": self.folder / "log",
                **({"user": self.user, "group": self.user} if self.user else {}),
            },
        }
        return self._start_daemon("libra_worker.main", self.node, settings)

    def logs(self) -> Sequence[str]:
        """Those of the worker and its keeper."""
        return ("libra_worker.out", "worker.log", "run/keeper.log")


def start(scene: Scene) -> None:
    """Start all parts."""
    stage = scene.stage
    assert isinstance(stage, AloneStage)
    webs = [stage.start_web(number, HOST) for number in (1, 2, 3)]
    version = stage.start_gearmand()
    pid = stage.start_worker()
    as_user = f", run as {stage.user}" if stage.user else ""
    rows = [
        ("gearmand", f"{HOST}:{stage.gearman_port}", f"version {version}"),
        ("libra_worker", stage.node, f"pid {pid}, its HAProxy is {stage.haproxy}{as_user}"),
        *((web.name, f"{HOST}:{web.port}", "answers with its name") for web in webs),
        ("load balancer", str(stage.target), "nothing there yet"),
    ]
    scene.screen.table(("part", "where", ""), rows)
    known = stage.function(stage.node)
    scene.screen.line(f"as gearadmin --port {stage.gearman_port} --status tells:")
    scene.screen.table(
        ("function", "jobs", "running", "workers"),
        [(known.name, known.total, known.running, known.workers)],
    )
    scene.check(
        known.workers,
        f"gearmand knows {stage.node}, and {known.workers} of its slots wait for jobs",
    )
    scene.expect_refused()


STEPS = (
    Step(
        "The parts start",
        "A real gearmand, a libra_worker, and three small web servers, all on loopback.",
        start,
    ),
    *LIFE,
)
