"""A whole load balancer of many objects, and random changes of it through Octavia's API.

What is served is told from what the API shows: a policy's rule is a path of its own, so that one
request tells what becomes of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.backends import HttpBackend
from tests.support.octavia_cloud import GATEWAY, OctaviaCloud
from tests.support.traffic import get

FIRST_PORT = 8000
LISTENERS, POOLS, POLICIES = 10, 20, 5


def body(webs: list[HttpBackend]) -> dict[str, Any]:
    """Ten listeners, twenty pools, a member of each pool for each web server, fifty policies."""
    pools = [
        {
            "name": f"pool{number}",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "members": [{"address": GATEWAY, "protocol_port": web.port} for web in webs],
        }
        for number in range(POOLS)
    ]
    listeners = [
        {
            "name": f"listener{number}",
            "protocol": "HTTP",
            "protocol_port": FIRST_PORT + number,
            "default_pool": {"name": f"pool{number}"},
            "l7policies": [_policy(number, place) for place in range(POLICIES)],
        }
        for number in range(LISTENERS)
    ]
    return {"listeners": listeners, "pools": pools}


def _policy(listener: int, place: int) -> dict[str, Any]:
    rule = {"type": "PATH", "compare_type": "STARTS_WITH", "value": f"/p{listener}-{place}/"}
    actions: list[dict[str, Any]] = [
        {"action": "REDIRECT_TO_POOL", "redirect_pool": {"name": f"pool{LISTENERS + listener}"}},
        {"action": "REDIRECT_TO_URL", "redirect_url": "http://a.example.org/%20x"},
        {"action": "REDIRECT_PREFIX", "redirect_prefix": "https://b.example.org"},
        {"action": "REJECT"},
        {"action": "REDIRECT_TO_URL", "redirect_url": "http://c.example.org/#y"},
    ]
    return {**actions[place % 5], "rules": [rule]}


class BigGraph:
    """The load balancer; the first listener and its pool are never changed."""

    def __init__(self, cloud: OctaviaCloud, made: dict[str, Any], seed: int) -> None:
        self._cloud = cloud
        self._chance = random.Random(seed)
        self.id, self.vip = made["id"], made["vip_address"]
        self.listeners = [str(one["id"]) for one in made["listeners"]]
        self._by_id = {one["id"]: one for one in self._all("listeners")}
        self.listeners.sort(key=lambda name: int(self._by_id[name]["protocol_port"]))
        kept = {self._by_id[self.listeners[0]]["default_pool_id"]}
        kept |= {one["redirect_pool_id"] for one in self._policies(self.listeners[0])}
        self._pools = [one["id"] for one in self._all("pools") if one["id"] not in kept]
        self._webs = {one["protocol_port"] for one in self._all(f"pools/{self._pools[0]}/members")}
        self._count = 0

    def _all(self, kind: str, query: str = "") -> list[dict[str, Any]]:
        return list(self._cloud.api.call("GET", f"{kind}{query}")[kind.rpartition("/")[2]])

    def _policies(self, listener: str) -> list[dict[str, Any]]:
        found = self._all("l7policies", f"?listener_id={listener}")
        return sorted(found, key=lambda one: int(one["position"]))

    # -- changes -------------------------------------------------------------------------------

    def change(self) -> str:
        """One random change through the API; gives what it was, once all has settled."""
        self._count += 1
        kinds: list[Callable[[], str]] = [
            self._change_listener,
            self._change_pool,
            self._change_member,
            self._add_member,
            self._remove_member,
            self._change_policy,
            self._move_policy,
            self._switch_policy,
            self._change_rule,
            self._monitor,
        ]
        path = self._chance.choice(kinds)()
        # The load balancer settles last: whatever was changed has its word then.
        status = self._cloud.api.settled(f"loadbalancers/{self.id}", 400)
        assert status == "ACTIVE", f"after {path}: {status}\n{self._cloud.said()}"
        changed = (self._cloud.api.show(path) or {}).get("provisioning_status", "DELETED")
        assert changed in ("ACTIVE", "DELETED"), f"{path} is {changed}\n{self._cloud.said()}"
        return path

    def _put(self, path: str, one: str, **fields: Any) -> str:
        self._cloud.api.call("PUT", path, {one: fields})
        return path

    def _post(self, path: str, one: str, **fields: Any) -> str:
        (made,) = self._cloud.api.call("POST", path, {one: fields}).values()
        return f"{path}/{made['id']}"

    def _listener(self) -> str:
        return self._chance.choice(self.listeners[1:])

    def _change_listener(self) -> str:
        fields: dict[str, Any] = self._chance.choice(
            [
                {"timeout_client_data": self._chance.randint(20_000, 60_000)},
                {"connection_limit": self._chance.choice([-1, 500, 1000])},
                {"insert_headers": self._chance.choice([{}, {"X-Forwarded-Port": "true"}])},
                {"allowed_cidrs": self._chance.choice([None, ["0.0.0.0/0"]])},
            ]
        )
        return self._put(f"listeners/{self._listener()}", "listener", **fields)

    def _change_pool(self) -> str:
        fields: dict[str, Any] = self._chance.choice(
            [
                {"lb_algorithm": self._chance.choice(["SOURCE_IP", "LEAST_CONNECTIONS"])},
                {"lb_algorithm": "ROUND_ROBIN"},
                {"session_persistence": self._chance.choice([None, {"type": "HTTP_COOKIE"}])},
            ]
        )
        return self._put(f"pools/{self._chance.choice(self._pools)}", "pool", **fields)

    def _members(self) -> tuple[str, list[dict[str, Any]]]:
        pool = self._chance.choice(self._pools)
        return f"pools/{pool}/members", self._all(f"pools/{pool}/members")

    def _change_member(self) -> str:
        path, members = self._members()
        one = self._chance.choice(self._answering(members))
        return self._put(f"{path}/{one['id']}", "member", weight=self._chance.randint(1, 9))

    def _answering(self, members: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in members if one["protocol_port"] in self._webs]

    def _add_member(self) -> str:
        path, members = self._members()
        gone = self._webs - {one["protocol_port"] for one in members}
        if gone:
            return self._post(path, "member", address=GATEWAY, protocol_port=min(gone))
        # Nobody is there, and it gets nothing.
        port = 1 + self._count
        return self._post(path, "member", address=GATEWAY, protocol_port=port, weight=0)

    def _remove_member(self) -> str:
        path, members = self._members()
        if len(self._answering(members)) < 3:
            return self._add_member()
        found = f"{path}/{self._chance.choice(members)['id']}"
        self._cloud.api.call("DELETE", found)
        return found

    def _change_policy(self) -> str:
        policies = self._policies(self._listener())
        urls = [one for one in policies if one["action"] == "REDIRECT_TO_URL"]
        one = self._chance.choice(urls)
        url = f"http://a.example.org/{self._count}?%20'x'"
        return self._put(f"l7policies/{one['id']}", "l7policy", redirect_url=url)

    def _move_policy(self) -> str:
        one = self._chance.choice(self._policies(self._listener()))
        where = self._chance.randint(1, POLICIES + 2)
        return self._put(f"l7policies/{one['id']}", "l7policy", position=where)

    def _switch_policy(self) -> str:
        one = self._chance.choice(self._policies(self._listener()))
        up = not one["admin_state_up"]
        return self._put(f"l7policies/{one['id']}", "l7policy", admin_state_up=up)

    def _change_rule(self) -> str:
        one = self._chance.choice(self._policies(self._listener()))
        path = f"l7policies/{one['id']}/rules"
        (rule,) = self._all(path)
        return self._put(f"{path}/{rule['id']}", "rule", value=f"/r{self._count}/")

    def _monitor(self) -> str:
        pool = self._chance.choice(self._pools)
        monitor = (self._cloud.api.show(f"pools/{pool}") or {}).get("healthmonitor_id")
        if not monitor:
            fields = {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 1}
            return self._post("healthmonitors", "healthmonitor", pool_id=pool, **fields)
        self._cloud.api.call("DELETE", f"healthmonitors/{monitor}")
        return f"healthmonitors/{monitor}"

    # -- traffic -------------------------------------------------------------------------------

    def look(self) -> None:
        """A random listener does with requests what the API says of it."""
        name = self._chance.choice(self.listeners)
        port = int(self._by_id[name]["protocol_port"])
        assert get(port, host=self.vip).status == 200
        for policy in self._policies(name):
            (rule,) = self._all(f"l7policies/{policy['id']}/rules")
            answer = get(port, f"{rule['value']}z", host=self.vip)
            said = (answer.status, answer.headers.get("Location"))
            wanted: dict[str, tuple[int, str | None]] = {
                "REJECT": (403, None),
                "REDIRECT_TO_URL": (302, policy["redirect_url"]),
                "REDIRECT_PREFIX": (302, f"{policy['redirect_prefix']}{rule['value']}z"),
                "REDIRECT_TO_POOL": (200, None),
            }
            up = policy["admin_state_up"]
            assert said == (wanted[policy["action"]] if up else (200, None)), (policy, rule)

    def serves(self) -> bool:
        """Whether the listener that is never changed answers as it should at this moment."""
        answer = get(FIRST_PORT, host=self.vip)
        away = get(FIRST_PORT, "/p0-1/x", host=self.vip)
        return answer.status == 200 and away.headers.get("Location") == "http://a.example.org/%20x"
