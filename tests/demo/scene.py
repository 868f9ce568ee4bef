"""What every step has at hand: the stage, the screen, and how to send, ask and check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.demo.faults import Wrong
from tests.demo.screen import Screen
from tests.demo.stage import Stage
from tests.demo.traffic import Answer, ask, refused
from tests.support.backends import HttpBackend

POOL = "libra_pool_mgm"
"""The pool manager's function."""

REQUESTS = 20
CONNECTIONS = 10


class Scene:
    """One telling of the story.

    `connections` counts those that its clients opened, `body_bytes` the bodies that they got,
    `seconds` is what the last message took.
    """

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage = stage
        self.screen = screen
        self.connections = 0
        self.body_bytes = 0
        self.seconds = 0.0

    def check(self, condition: object, text: str, instead: object = "") -> None:
        """Show that `text` is so. Raises Wrong when it is not, saying what is so `instead`."""
        if not condition:
            raise Wrong(f"not so: {text}" + (f"; instead: {instead}" if instead else ""))
        self.screen.good(text)

    def submit(self, message: Mapping[str, Any], *, ok: bool = True) -> dict[str, Any]:
        """Send a message, show both ways, and return what the answer added to it.

        Raises Wrong unless the answer says PASS (FAIL where `ok` is false) and is the message
        with fields added.
        """
        return self._send(message, to=self.stage.node, ok=ok, field="hpcs_response")

    def order(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message to the pool manager, as `submit` does to the node; it must say PASS."""
        return self._send(message, to=POOL, ok=True, field="response")

    def _send(self, message: Mapping[str, Any], *, to: str, ok: bool, field: str) -> dict[str, Any]:
        self.screen.sent(message, to)
        result = self.stage.submit(to, message, field)
        self.seconds = result.elapsed
        added = {name: value for name, value in result.answer.items() if name not in message}
        self.screen.came_back(added, result.elapsed, ok=result.ok)
        if {name: result.answer.get(name) for name in message} != dict(message):
            raise Wrong("the answer does not hold the message as it was sent")
        if result.ok is not ok:
            wanted, got = ("PASS", result.error) if ok else ("FAIL", result.response)
            action = message.get("hpcs_action") or message.get("action")
            raise Wrong(f"{action} should be answered {wanted}; instead: {got}")
        return added

    def update(self, *numbers: int) -> dict[str, Any]:
        """The UPDATE whose nodes are the web servers with these numbers."""
        return self.update_of(*(self.node(number) for number in numbers))

    def update_of(self, *nodes: Mapping[str, Any]) -> dict[str, Any]:
        """The UPDATE with these nodes."""
        balancer = {"name": "demo", "protocol": "HTTP", "port": self.stage.target.port}
        return {
            "hpcs_action": "UPDATE",
            "loadBalancers": [{**balancer, "nodes": [dict(node) for node in nodes]}],
        }

    def node(self, number: int) -> dict[str, Any]:
        """A web server as a node of a message."""
        web: HttpBackend = self.stage.webs[number]
        return {"id": str(number), "address": web.host, "port": str(web.port)}

    def statuses(self, added: Mapping[str, Any]) -> dict[str, str]:
        """Show the nodes of a STATS answer as a table; the status of each by its id."""
        nodes = added["nodes"]
        rows = [(node["id"], f"{node['address']}:{node['port']}", node["status"]) for node in nodes]
        self.screen.table(("node", "address", "status"), rows)
        return {str(node["id"]): node["status"] for node in nodes}

    def expect_nodes(self, *numbers: int) -> Answer:
        """Request, and see that exactly these web servers answer; returns the last answer."""
        answers = ask(self.stage.target, REQUESTS)
        counts = self.count(answers)
        names = [f"web-{number}" for number in numbers]
        shown = ", ".join(f"{count} from {name}" for name, count in sorted(counts.items()))
        self.check(
            sorted(counts) == names,
            f"{REQUESTS} requests, each on a new connection: {shown}",
            f"answers should come from {' and '.join(names)}",
        )
        return answers[-1]

    def count(self, answers: Sequence[Answer]) -> Counter[str]:
        """Add answers to the counts of the whole story; how many came from each web server."""
        self.connections += sum(not answer.kept for answer in answers)
        self.body_bytes += sum(len(answer.web) for answer in answers)
        return Counter(answer.web for answer in answers)

    def expect_refused(self) -> None:
        """See that the load balancer's port takes no connection."""
        count = refused(self.stage.target, CONNECTIONS)
        self.check(
            count == CONNECTIONS,
            f"{CONNECTIONS} connections to {self.stage.target}: all refused",
            f"{count} refused",
        )
