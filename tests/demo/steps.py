"""The steps in a load balancer's life. Each raises when something is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.demo.load import change_under_load
from tests.demo.scene import REQUESTS, Scene
from tests.demo.traffic import ask


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its title, what it is about, and what it does."""

    title: str
    sentence: str
    play: Callable[[Scene], None]


def update(scene: Scene) -> None:
    """Make the load balancer."""
    added = scene.submit(scene.update(1, 2))
    scene.check(added.get("lb_status") == "ACTIVE", "the load balancer is ACTIVE", added)
    last = scene.expect_nodes(1, 2)
    counts = scene.count(ask(scene.stage.target, REQUESTS, last.cookie))
    scene.check(
        dict(counts) == {last.web: REQUESTS},
        f"{REQUESTS} requests with the cookie {last.cookie}: all from {last.web}",
        dict(counts),
    )


def stats(scene: Scene) -> None:
    """Ask how the nodes are."""
    statuses = scene.statuses(scene.submit({"hpcs_action": "STATS"}))
    scene.check(statuses == {"1": "UP", "2": "UP"}, "HAProxy answers, both nodes are UP", statuses)


def refuse(scene: Scene) -> None:
    """Send what cannot be done."""
    bad = {"id": "4", "address": "192.0.2.256", "port": "80"}
    added = scene.submit(scene.update_of(scene.node(1), bad), ok=False)
    error = added.get("hpcs_error", "")
    scene.check("nodes[1].address" in error, "the error names the field: nodes[1].address", error)
    scene.expect_nodes(1, 3)
    statuses = scene.statuses(scene.submit({"hpcs_action": "STATS"}))
    scene.check(
        statuses == {"1": "UP", "3": "UP"}, "nothing has changed: nodes 1 and 3, both UP", statuses
    )


def suspend(scene: Scene) -> None:
    """Take the load balancer out of service."""
    added = scene.submit({"hpcs_action": "SUSPEND"})
    scene.check(added.get("lb_status") == "SUSPENDED", "the load balancer is SUSPENDED", added)
    scene.expect_refused()
    statuses = scene.statuses(scene.submit({"hpcs_action": "STATS"}))
    scene.check(statuses == {"1": "MAINT", "3": "MAINT"}, "every node is in MAINT", statuses)


def enable(scene: Scene) -> None:
    """Put it into service again."""
    added = scene.submit({"hpcs_action": "ENABLE"})
    scene.check(added.get("lb_status") == "ACTIVE", "the load balancer is ACTIVE again", added)
    scene.expect_nodes(1, 3)


def delete(scene: Scene) -> None:
    """Remove it for good."""
    (total,) = scene.submit({"hpcs_action": "DELETE"})["totals"]
    names = ("protocol", "sessions", "bytes_in", "bytes_out")
    scene.screen.table(
        ("load balancer", "sessions", "bytes in", "bytes out"), [[total[name] for name in names]]
    )
    scene.check(
        total["sessions"] == scene.connections,
        f"one session for each of this demo's {scene.connections} connections: no reload lost one",
        total,
    )
    scene.check(
        total["bytes_in"] > 0 and total["bytes_out"] > scene.body_bytes,
        f"more bytes out than the {scene.body_bytes} of the answers' bodies alone",
        total,
    )
    scene.expect_refused()
    added = scene.submit({"hpcs_action": "STATS"}, ok=False)
    scene.check(added.get("status") == "DELETED", "STATS says that it is DELETED", added)


STEPS = (
    Step(
        "UPDATE: a load balancer with two nodes",
        "One message says all that it shall be. PASS means: in force, read back from HAProxy.",
        update,
    ),
    Step("STATS: how are the nodes?", "The worker asks HAProxy and tells.", stats),
    Step(
        "UPDATE under load: node 3 comes, node 2 goes",
        "Clients keep requesting, on kept and on new connections. None may notice.",
        change_under_load,
    ),
    Step(
        "UPDATE with a bad address: refused",
        "Nothing changes before the whole message is accepted.",
        refuse,
    ),
    Step("SUSPEND: out of service", "Its port takes no connection until ENABLE.", suspend),
    Step("ENABLE: in service again", "What it was before the SUSPEND is what it is now.", enable),
    Step(
        "DELETE: gone for good",
        "The answer carries the final totals; configuration and state are erased.",
        delete,
    ),
)
