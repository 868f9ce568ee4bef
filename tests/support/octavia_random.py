"""Random operations on load balancers by REST, and what the API shows held against traffic."""

from __future__ import annotations

import http.client
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.backends import HttpBackend
from tests.support.octavia_api import Refused
from tests.support.octavia_cloud import MEMBERS_SUBNET, SUBNET, OctaviaCloud
from tests.support.traffic import get
from tests.support.wait import until

MOST_BALANCERS = 3
_WITHIN = ("member", "batch", "weight", "gone", "front", "limit", "switch")
_VIPS = tuple(f"203.0.113.{number}" for number in range(100, 100 + MOST_BALANCERS))


class RandomOperations:
    """Does one operation after the other, as `chance` has it; `done` says which, for a failure."""

    def __init__(
        self, cloud: OctaviaCloud, webs: Sequence[HttpBackend], chance: random.Random
    ) -> None:
        self._cloud = cloud
        self._webs = webs
        self._chance = chance
        self.done: list[str] = []

    def step(self) -> None:
        """Do something that the API accepts."""
        until(self._did, "an operation is accepted", 300)

    def _did(self) -> bool:
        everything = self._balancers()
        free = [one for one in everything if "PENDING" not in one["provisioning_status"]]
        acts: list[Callable[[], str | None]] = []
        if len(everything) < MOST_BALANCERS:
            acts += [self._create] * 2
        if free:
            balancer = self._chance.choice(free)
            acts += [lambda: self._within(balancer)] * 9
            acts += [lambda: self._failover(balancer), lambda: self._delete(balancer)]
        if not acts:
            return False
        try:
            did = self._chance.choice(acts)()
        except Refused as error:
            if error.status not in (404, 409):
                raise
            return False
        if did is None:
            return False
        self.done.append(did)
        return True

    # -- operations --------------------------------------------------------------------------

    def _create(self) -> str | None:
        used = {one["vip_address"] for one in self._balancers()}
        vip = next((vip for vip in _VIPS if vip not in used), None)
        if vip is None:
            return None
        webs = self._chance.sample(list(self._webs), 2)
        pool = {
            "name": "pool",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "members": [self._member(web) for web in webs],
        }
        front = {"name": "a", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
        self._cloud.balancer(settle=False, vip_address=vip, listeners=[front])
        return f"create {vip}"

    def _delete(self, balancer: dict[str, Any]) -> str:
        self._cloud.api.call("DELETE", f"loadbalancers/{balancer['id']}?cascade=true")
        return f"delete {balancer['vip_address']}"

    def _failover(self, balancer: dict[str, Any]) -> str:
        self._cloud.api.call("PUT", f"loadbalancers/{balancer['id']}/failover")
        return f"failover {balancer['vip_address']}"

    def _within(self, balancer: dict[str, Any]) -> str | None:
        call, vip = self._cloud.api.call, balancer["vip_address"]
        pools = [one["id"] for one in balancer["pools"]]
        fronts = [one["id"] for one in balancer["listeners"]]
        what = self._chance.choice(
            ["member", "batch", "weight", "gone", "front", "limit", "switch"]
        )
        if what == "front" and len(fronts) < 3:
            port = self._chance.choice([8080, 8081, 8082])
            body = {
                "loadbalancer_id": balancer["id"],
                "protocol": "HTTP",
                "protocol_port": port,
                "default_pool_id": pools[0] if pools else None,
            }
            call("POST", "listeners", {"listener": body})
            return f"listener {vip}:{port}"
        if what == "limit" and fronts:
            body = {"connection_limit": self._chance.randint(100, 1000)}
            call("PUT", f"listeners/{self._chance.choice(fronts)}", {"listener": body})
            return f"limit {vip}"
        if what == "switch" and fronts:
            up = self._chance.random() < 0.7
            front = self._chance.choice(fronts)
            call("PUT", f"listeners/{front}", {"listener": {"admin_state_up": up}})
            return f"switch {vip} {up}"
        if not pools:
            return None
        path = f"pools/{self._chance.choice(pools)}/members"
        there = call("GET", path)["members"]
        if what == "member":
            free = [web for web in self._webs if web.port not in _ports(there)]
            if not free:
                return None
            web = self._chance.choice(free)
            call("POST", path, {"member": self._member(web)})
            return f"member {vip} {web.name}"
        if what == "batch":
            webs = self._chance.sample(list(self._webs), self._chance.randint(1, len(self._webs)))
            call("PUT", path, {"members": [self._member(web) for web in webs]})
            return f"batch {vip} {[web.name for web in webs]}"
        if not there:
            return None
        one = self._chance.choice(there)
        if what == "weight":
            weight = self._chance.choice([0, 1, 1, 7])
            call("PUT", f"{path}/{one['id']}", {"member": {"weight": weight}})
            return f"weight {vip} {weight}"
        if what == "gone":
            call("DELETE", f"{path}/{one['id']}")
            return f"gone {vip}"
        return None

    def _member(self, web: HttpBackend) -> dict[str, Any]:
        found: dict[str, Any] = {"address": web.host, "protocol_port": web.port, "weight": 1}
        if web.name.endswith("net"):
            found["subnet_id"] = MEMBERS_SUBNET
        return found

    def _balancers(self) -> list[dict[str, Any]]:
        return list(self._cloud.api.call("GET", "loadbalancers")["loadbalancers"])


def everything_settles(cloud: OctaviaCloud, seconds: float) -> None:
    """Nothing stays PENDING."""
    until(lambda: cloud.pending() == [], "nothing is PENDING", seconds)


def serves_what_is_shown(cloud: OctaviaCloud, webs: Sequence[HttpBackend]) -> int:
    """Hold what the API shows against traffic; returns how many listeners that were."""
    names = {web.port: web.name for web in webs}
    call, looked = cloud.api.call, 0
    for balancer in call("GET", "loadbalancers")["loadbalancers"]:
        assert balancer["provisioning_status"] == "ACTIVE", balancer
        for one in balancer["listeners"]:
            front = call("GET", f"listeners/{one['id']}")["listener"]
            assert front["provisioning_status"] == "ACTIVE", front
            wanted: set[str] = set()
            if front["admin_state_up"] and front["default_pool_id"]:
                members = call("GET", f"pools/{front['default_pool_id']}/members")["members"]
                assert {one["provisioning_status"] for one in members} <= {"ACTIVE"}
                wanted = {names[one["protocol_port"]] for one in members if one["weight"]}
            found = {_asked(balancer["vip_address"], front["protocol_port"]) for _ in range(16)}
            assert found == (wanted or {""}), (balancer["vip_address"], front["protocol_port"])
            looked += 1
    return looked


def nothing_leaks(cloud: OctaviaCloud) -> None:
    """One device for each load balancer, with the ports that it needs."""
    shown = cloud.api.call("GET", "loadbalancers")["loadbalancers"]
    known = {one["id"]: cloud.known_devices(one["id"]) for one in shown}
    assert all(len(devices) == 1 for devices in known.values()), known
    names = sorted(devices[0].name for devices in known.values())
    until(lambda: sorted(one.name for one in cloud.devices()) == names, "no device is left", 60)

    def ports_are_right() -> bool:
        wanted = []
        for one in shown:
            subnets = {SUBNET}
            for pool in one["pools"]:
                members = cloud.api.call("GET", f"pools/{pool['id']}/members")["members"]
                subnets |= {member["subnet_id"] for member in members if member["subnet_id"]}
            wanted += [known[one["id"]][0].name] * len(subnets)
        return sorted(str(port.device) for port in cloud.ports()) == sorted(wanted)

    until(ports_are_right, "ports are given back", 120)


def _ports(members: Sequence[dict[str, Any]]) -> set[int]:
    return {one["protocol_port"] for one in members}


def _asked(vip: str, port: int) -> str:
    """Who answers; empty for nobody."""
    try:
        answer = get(port, host=vip)
    except (OSError, http.client.HTTPException):
        return ""
    return answer.body.decode() if answer.status == 200 else ""
