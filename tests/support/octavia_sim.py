"""Octavia's side of one load balancer, in this process: what it shows, and what it waits for.

As the real one, it calls the driver inside a transaction that may be committed later or rolled
back, lets nobody change anything that is PENDING, and shows what is being deleted until it is told
that it is gone. A report about what an open transaction holds is refused, as its lock would.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from octavia_lib.api.drivers import data_models, exceptions

from libra_octavia import wishes
from libra_octavia.agent.index import index
from libra_octavia.inventory import Intents, Kind, Operation, Wish
from tests.support.octavia_trees import listener, member, monitor, pool, tree

Shape = dict[str, Any]


def first_shape() -> Shape:
    """A listener with a pool of two members; ids are short, so that failures can be read."""
    behind = pool(
        pool_id="p",
        loadbalancer_id="lb",
        members=[member(member_id=name, pool_id="p") for name in ("m0", "m1")],
    )
    front = listener(listener_id="l", loadbalancer_id="lb", default_pool_id="p")
    return dict(vars(tree([front], [behind], loadbalancer_id="lb", name="first")))


@dataclass
class Open:
    """A call whose transaction is open: the tree after it, and what it will have left PENDING."""

    after: Shape
    pending: dict[str, str]
    operation: Operation


@dataclass
class OctaviaSim:
    """One load balancer `lb`. `checks` is told each report, to look at what is true then."""

    intents: Intents
    checks: Callable[[OctaviaSim, dict[str, str]], None]
    shape: Shape | None = field(default_factory=first_shape)
    status: dict[str, str] = field(default_factory=dict)
    opened: Open | None = None
    away: bool = False
    loses_answers: bool = False

    def __post_init__(self) -> None:
        self.status = dict.fromkeys(self.ids(), "ACTIVE")

    # -- the customer ------------------------------------------------------------------------

    def ids(self) -> set[str]:
        return set(index(None if self.shape is None else self.model()).objects)

    def model(self) -> data_models.LoadBalancer:
        assert self.shape is not None
        return data_models.LoadBalancer(**copy.deepcopy(self.shape))

    @property
    def free(self) -> bool:
        """Whether the API would take a call."""
        pending = any(word.startswith("PENDING") for word in self.status.values())
        return self.opened is None and self.shape is not None and not pending

    def call(self, what: str, number: int) -> None:
        """One call of the API to the driver, in a transaction that stays open."""
        assert self.shape is not None
        after = copy.deepcopy(self.shape)
        members: list[Shape] = after["pools"][0]["members"]
        names = [one["member_id"] for one in members]
        above = dict.fromkeys(("lb", "l", "p"), "PENDING_UPDATE")
        match what:
            case "create":
                new = member(member_id=f"n{number}", pool_id="p", protocol_port=number + 1)
                members.append(new)
                wish = wishes.wish(Operation.CREATE, Kind.MEMBER, new)
                pending = {f"n{number}": "PENDING_CREATE"}
            case "update" if members:
                old = copy.deepcopy(members[0])
                members[0]["weight"] = (old["weight"] + 1) % 257
                new = {"member_id": names[0], "weight": members[0]["weight"]}
                wish = wishes.wish(Operation.UPDATE, Kind.MEMBER, new, old=old)
                pending = {names[0]: "PENDING_UPDATE"}
            case "delete" if members:
                wish = wishes.wish(Operation.DELETE, Kind.MEMBER, members[0])
                pending = {names[0]: "PENDING_DELETE"}
            case "batch" if members:
                kept = members[-1]
                kept["weight"] = (kept["weight"] + 1) % 257
                new = member(member_id=f"n{number}", pool_id="p", protocol_port=number + 1)
                wish = wishes.batch("p", [{"member_id": names[-1], "weight": kept["weight"]}, new])
                members.append(new)
                pending = dict.fromkeys(names[:-1], "PENDING_DELETE")
                pending |= {names[-1]: "PENDING_UPDATE", f"n{number}": "PENDING_CREATE"}
            case "monitor":
                return self._monitor(after, number, above)
            case "failover":
                wish = Wish(
                    operation=Operation.FAILOVER,
                    kind=Kind.LOAD_BALANCER,
                    object_id="lb",
                    load_balancer_id="lb",
                )
                pending, above = {}, {"lb": "PENDING_UPDATE"}
            case "cascade":
                wish = wishes.wish(Operation.CASCADE, Kind.LOAD_BALANCER, self.model())
                pending = dict.fromkeys(self.ids(), "PENDING_DELETE")
                above = {}
            case _:
                old_name = after["name"]
                after["name"] = f"name{number}"
                wish = wishes.wish(
                    Operation.UPDATE,
                    Kind.LOAD_BALANCER,
                    {"loadbalancer_id": "lb", "name": after["name"]},
                    old={"loadbalancer_id": "lb", "name": old_name},
                )
                pending, above = {}, {"lb": "PENDING_UPDATE"}
        self._open(wish, after, above | pending)
        return None

    def commit(self) -> None:
        if self.opened is not None:
            self.shape = self.opened.after
            self.status |= self.opened.pending
            self.opened = None

    def roll_back(self) -> None:
        self.opened = None

    def _monitor(self, after: Shape, number: int, above: dict[str, str]) -> None:
        behind = after["pools"][0]
        old = behind["healthmonitor"]
        if old is None:
            behind["healthmonitor"] = monitor(healthmonitor_id=f"h{number}", pool_id="p")
            wish = wishes.wish(Operation.CREATE, Kind.HEALTH_MONITOR, behind["healthmonitor"])
            self._open(wish, after, above | {f"h{number}": "PENDING_CREATE"})
        else:
            wish = wishes.wish(Operation.DELETE, Kind.HEALTH_MONITOR, old)
            self._open(wish, after, above | {old["healthmonitor_id"]: "PENDING_DELETE"})

    def _open(self, wish: Wish, after: Shape, pending: dict[str, str]) -> None:
        self.intents.record(wish)
        self.opened = Open(after, pending, wish.operation)

    # -- octavia-lib's library ---------------------------------------------------------------

    def get_loadbalancer(self, loadbalancer_id: str) -> Any:
        self._answer()
        return self.model() if self.shape is not None and loadbalancer_id == "lb" else None

    def get_pool(self, pool_id: str) -> Any:
        self._answer()
        known = self.shape is not None and pool_id == "p"
        return data_models.Pool(pool_id="p", loadbalancer_id="lb") if known else None

    def get_listener(self, listener_id: str) -> Any:
        raise AssertionError(listener_id)

    get_member = get_healthmonitor = get_l7policy = get_l7rule = get_listener

    def update_loadbalancer_status(self, status: dict[str, list[dict[str, str]]]) -> None:
        self._answer()
        rows = [row for section in status.values() for row in section]
        said = {row["id"]: row["provisioning_status"] for row in rows}
        if self.opened is not None and set(said) & set(self.opened.pending):
            raise exceptions.UpdateStatusError(fault_string="database is locked")
        self.checks(self, said)
        for name, word in said.items():
            if word == "DELETED":
                self._remove(name)
            else:
                self.status[name] = word
        if self.loses_answers:
            raise exceptions.UpdateStatusError(fault_string="the answer was lost")

    def update_listener_statistics(self, statistics: dict[str, list[dict[str, Any]]]) -> None:
        raise AssertionError(statistics)

    def _remove(self, name: str) -> None:
        self.status.pop(name, None)
        if self.shape is None or name == "lb":
            self.shape = None
            return
        for behind in self.shape["pools"]:
            behind["members"] = [m for m in behind["members"] if m["member_id"] != name]
            if (behind["healthmonitor"] or {}).get("healthmonitor_id") == name:
                behind["healthmonitor"] = None
        self.shape["pools"] = [p for p in self.shape["pools"] if p["pool_id"] != name]
        self.shape["listeners"] = [x for x in self.shape["listeners"] if x["listener_id"] != name]

    def _answer(self) -> None:
        if self.away:
            raise exceptions.DriverAgentTimeout(fault_string="no answer")
