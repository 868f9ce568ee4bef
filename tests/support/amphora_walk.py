"""Walks the amphora API's documents: each example and each error row, asked of a live agent.

A row says what is sent and what must come back, code and body. The bodies are those of the
documents; where they name what differs from node to node (a pid, a time) `Like` stands for it.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.amphora import AMPHORA_ID, Amphora, Reply
from tests.support.octavia_text import LISTENER, POOL, Proxy, configuration
from tests.support.wait import until

VIP = "203.0.113.2"
UNKNOWN = "04bff5c3-5862-4a13-b9e3-9b440d0ed50a"
OBJECT = "85e2111b-29c4-44be-94f3-e72045805801"
MEMBER = "73f6d278-ae1c-4248-ad02-0bfd50d69aab"
TRANSITION = {"message": "Topology transition in progress"}

Step = tuple[str, Reply, int, Any]
"""What was asked, what came, and what should have come."""


class Like:
    """Equal to each text that matches, or to each value that passes."""

    def __init__(self, what: str | Callable[[Any], bool]) -> None:
        self._what = what

    def __eq__(self, other: object) -> bool:
        if isinstance(self._what, str):
            return isinstance(other, str) and re.fullmatch(self._what, other, re.DOTALL) is not None
        return self._what(other)

    def __hash__(self) -> int:
        return hash(self._what)

    def __repr__(self) -> str:
        return f"Like({self._what!r})"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The documents' network: hardware addresses of a port for the VIP and one for members."""

    vip_mac: str
    member_mac: str
    transition: bool = True


class Walk:
    """One version of the documents, on an agent that nothing was asked of before."""

    def __init__(self, agent: Amphora, *, version: str, place: Place) -> None:
        self.agent = agent
        self.prefix = {"1.0": "/1.0", "0.1": "/v0.1"}[version]
        self.version = version
        self.place = place
        self.id = OBJECT if version == "1.0" else LISTENER
        self.base = f"{self.prefix}/{'loadbalancer' if version == '1.0' else 'listeners'}"
        self.what = "loadbalancer" if version == "1.0" else "listener"
        self.config = configuration(
            Proxy(port=8080, members={MEMBER: 9}, check=""), balancer=self.id
        ).replace("127.0.0.1:8080", f"{VIP}:8080")

    def steps(self) -> Iterator[Step]:
        """Ask everything, in an order in which it can be asked."""
        for part in (
            *(self.info, self.interfaces, self.plugging, self.certificates, self.haproxy),
            *(self.starting, self.listeners, self.details, self.agent_itself, self.keepalived),
            *((self.topology, self.transition) if self.place.transition else ()),
            *(self.ending,),
        ):
            yield from part()

    def ask(
        self,
        method: str,
        path: str,
        status: int,
        body: Any,
        *,
        sends: bytes | str | None = None,
        json: object = None,
    ) -> Step:
        reply = self.agent.call(method, path, sends, json_body=json)
        return f"{method} {path}", reply, status, body

    # -- the documents, from their beginning to their end ---------------------------------------

    def info(self) -> Iterator[Step]:
        for path, version in (("/info", "1.0"), (f"{self.prefix}/info", self.version)):
            yield self.ask(
                "GET",
                path,
                200,
                {
                    "hostname": Like(".+"),
                    "uuid": AMPHORA_ID,
                    "haproxy_version": Like(r"\d+\.\d+.*"),
                    "api_version": version,
                },
            )

    def interfaces(self) -> Iterator[Step]:
        yield self.ask(
            "GET",
            f"{self.prefix}/interface/10.5.0.1",
            404,
            {"message": "Error interface not found for IP address"},
        )
        yield self.ask(
            "GET",
            f"{self.prefix}/interface/10.6.0.1.1",
            400,
            {"message": "Bad IP address version"},
        )

    def plugging(self) -> Iterator[Step]:
        vip, network = f"{self.prefix}/plug/vip", f"{self.prefix}/plug/network/"
        subnet = {"subnet_cidr": "203.0.113.0/24", "gateway": "203.0.113.1"}
        good = {**subnet, "mac_address": self.place.vip_mac}
        none = {"message": "No suitable network interface found"}
        if self.version == "1.0":
            none["details"] = "No suitable network interface found"
        yield self.ask("POST", f"{vip}/{VIP}.1", 400, {"message": "Invalid VIP"}, json=good)
        yield self.ask(
            "POST",
            f"{vip}/{VIP}",
            400,
            Like(lambda body: body["message"] == "Invalid subnet information"),
            json={"mac_address": self.place.vip_mac},
        )
        yield self.ask(
            "POST", f"{vip}/{VIP}", 404, none, json={**subnet, "mac_address": "78:31:c1:ce:0b:3c"}
        )
        yield self.ask(
            "POST",
            f"{vip}/{VIP}",
            202,
            {"message": "OK", "details": f"VIP {VIP} plugged on interface eth1"},
            json=good,
        )
        yield self.ask(
            "GET", f"{self.prefix}/interface/{VIP}", 200, {"message": "OK", "interface": "eth1"}
        )
        yield self.ask("POST", network, 404, none, json={"mac_address": "78:31:c1:ce:0b:3c"})
        yield self.ask(
            "POST",
            network,
            202,
            {"message": "OK", "details": "Plugged interface eth2"},
            json={"mac_address": self.place.member_mac},
        )

    def certificates(self) -> Iterator[Step]:
        path = f"{self.base}/{self.id}/certificates/www.example.com.pem"
        good = self.agent.authorities.server("www.example.com")
        other = self.agent.authorities.server("other.example.com")
        key, certificate = good[: good.index(b"-----BEGIN CERT")], good[len(_key(good)) :]
        not_there = {
            "message": "Certificate Not Found",
            "details": "No certificate with file name: www.example.com.pem",
        }
        unknown = {
            "message": "Listener Not Found",
            "details": f"No {self.what} with UUID: {UNKNOWN}",
        }
        yield self.ask("GET", path.replace(self.id, UNKNOWN), 404, unknown)
        yield self.ask("PUT", path, 400, {"message": "No certificate found"}, sends=key)
        yield self.ask("PUT", path, 400, {"message": "No RSA key found"}, sends=certificate)
        yield self.ask(
            "PUT",
            path,
            400,
            {"message": "Certificate and key do not match"},
            sends=_key(other) + certificate,
        )
        yield self.ask("PUT", path, 201, {"message": "OK"}, sends=good)
        yield self.ask("GET", path, 200, {"md5sum": Like("[0-9a-f]{32}")})
        yield self.ask(
            "PUT",
            path.replace(self.id, "no-uuid"),
            404,
            {"message": "Listener Not Found", "details": f"No {self.what} with UUID: no-uuid"},
            sends=good,
        )
        other_path = path.replace("www.example.com", "WILDCARD.example.com")
        yield self.ask("PUT", other_path, 201, {"message": "OK"}, sends=good)
        yield self.ask("DELETE", path, 200, {"message": "OK"})
        yield self.ask("DELETE", path, 404, not_there)
        yield self.ask("GET", path, 404, not_there)

    def haproxy(self) -> Iterator[Step]:
        put = f"{self.base}/d459b1c8-54b0-4030-9bec-4f449e73b1ef/{self.id}/haproxy"
        lines = self.config.split("\n")
        bad = "\n".join(["# a", "# b", "# c", "BAD_LINE", *lines])
        message = "Loadbalancer Not Found" if self.version == "1.0" else "Listener Not Found"
        yield self.ask(
            "PUT",
            put,
            400,
            {
                "message": "Invalid request",
                "details": Like(
                    r"\[ALERT\].* : parsing \[haproxy\.cfg:4\]: unknown keyword 'BAD_LINE' out of"
                    r" section\.\n\[ALERT\].* : Error\(s\) found in configuration file :"
                    r" haproxy\.cfg\n\[ALERT\].* : Fatal errors found in configuration\."
                ),
            },
            sends=bad,
        )
        yield self.ask("PUT", put, 201, {"message": "OK"}, sends=self.config)
        yield self.ask("GET", f"{self.base}/{self.id}/haproxy", 200, self.config)
        yield self.ask(
            "GET",
            f"{self.base}/{UNKNOWN}/haproxy",
            404,
            {"message": message, "details": f"No {self.what} with UUID: {UNKNOWN}"},
        )

    def starting(self) -> Iterator[Step]:
        yield self.ask(
            "PUT",
            f"{self.base}/{self.id}/start",
            202,
            {
                "message": "OK",
                "details": (f"Configuration file is valid\nhaproxy daemon for {self.id} started"),
            },
        )
        yield self.ask(
            "PUT",
            f"{self.base}/{self.id}/BAD_TEST_DATA",
            400,
            {"message": "Invalid Request", "details": "Unknown action: BAD_TEST_DATA"},
        )
        yield self.ask(
            "PUT",
            f"{self.base}/{UNKNOWN}/stop",
            404,
            {
                "message": "Listener Not Found",
                "details": f"No {self.what} with UUID: {UNKNOWN}",
            },
        )
        yield self._stop_of_a_dead_one()
        for action in ("start", "reload"):
            yield self.ask(
                "PUT",
                f"{self.base}/{self.id}/{action}",
                202,
                Like(lambda body: body["message"] == "OK"),
            )

    def listeners(self) -> Iterator[Step]:
        yield self.ask(
            "GET",
            f"{self.prefix}/listeners",
            200,
            [{"status": "ACTIVE", "uuid": LISTENER, "type": "HTTP"}],
        )
        yield self.ask(
            "GET",
            f"{self.prefix}/listeners/{LISTENER}",
            200,
            {
                "status": "ACTIVE",
                "uuid": LISTENER,
                "type": "HTTP",
                "pools": [{"uuid": POOL, "status": "UP", "members": [{MEMBER: "UP"}]}],
            },
        )
        yield self.ask(
            "GET",
            f"{self.prefix}/listeners/{UNKNOWN}",
            404,
            {"message": "Listener Not Found", "details": f"No listener with UUID: {UNKNOWN}"},
        )

    def agent_itself(self) -> Iterator[Step]:
        good = self.agent.authorities.server()
        other = self.agent.authorities.server()
        certificate = good[len(_key(good)) :]
        for path in (f"{self.prefix}/certificate", f"{self.prefix}/certificates"):
            yield self.ask("PUT", path, 400, {"message": "No certificate found"}, sends=_key(good))
            yield self.ask("PUT", path, 400, {"message": "No RSA key found"}, sends=certificate)
            yield self.ask(
                "PUT",
                path,
                400,
                {"message": "Certificate and key do not match"},
                sends=_key(other) + certificate,
            )
            yield self.ask("PUT", path, 202, {"message": "OK"}, sends=good)
        config = self.agent.config.read_text()
        yield self.ask("PUT", f"{self.prefix}/config", 202, {"message": "OK"}, sends=config)
        yield self.ask(
            "PUT",
            f"{self.prefix}/config",
            500,
            {
                "message": "Unable to update amphora-agent configuration.",
                "details": Like(".*heartbeat_interval.*"),
            },
            sends="[health_manager]\nheartbeat_interval = often\n",
        )

    def details(self) -> Iterator[Step]:
        number = Like(lambda value: isinstance(value, int | float))
        count = Like(lambda value: isinstance(value, int) and not isinstance(value, bool))
        memory = "total free available buffers cached swap_used shared slab committed_as"
        yield self.ask(
            "GET",
            f"{self.prefix}/details",
            200,
            {
                "hostname": Like(".+"),
                "uuid": AMPHORA_ID,
                "haproxy_version": Like(r"\d+\.\d+.*"),
                "api_version": self.version,
                "network_tx": count,
                "network_rx": count,
                "networks": Like(lambda value: {"eth1", "eth2"} <= set(value)),
                "active": True,
                "haproxy_count": 1,
                "cpu": dict.fromkeys(("total", "user", "system", "soft_irq"), number),
                "cpu_count": count,
                "memory": dict.fromkeys(memory.split(), count),
                "disk": {"used": count, "available": count},
                "load": [number, number, number],
                "active_tuned_profiles": Like(lambda value: isinstance(value, str)),
                "topology": "SINGLE",
                "tolopogy": "SINGLE",
                "topology_status": "OK",
                "listeners": [LISTENER],
                "loadbalancers": [self.id],
                "packages": Like(lambda value: any("haproxy" in package for package in value)),
            },
        )

    def keepalived(self) -> Iterator[Step]:
        yield self.ask(
            "PUT",
            f"{self.prefix}/vrrp/BAD_TEST_DATA",
            400,
            {"message": "Invalid Request", "details": "Unknown action: BAD_TEST_DATA"},
        )

    def topology(self) -> Iterator[Step]:
        path = f"{self.prefix}/topology"
        single = {
            "hostname": Like(".+"),
            "uuid": AMPHORA_ID,
            "topology": "SINGLE",
            "role": "ACTIVE",
            "ha_ip": "",
        }
        yield self.ask("GET", path, 200, single)
        yield self.ask(
            "POST",
            path,
            400,
            {"message": "Invalid request", "details": "Unknown topology: BAD_TEST_DATA"},
            json={"topology": "BAD_TEST_DATA"},
        )
        yield self.ask("POST", path, 200, {"message": "OK"}, json={"topology": "SINGLE"})
        yield self.ask("GET", path, 200, single)

    def transition(self) -> Iterator[Step]:
        """Every row that says 503, while the topology moves; nothing may have changed then."""
        path = f"{self.prefix}/topology"
        wish = {
            "topology": "ACTIVE-STANDBY",
            "role": "ACTIVE",
            "ha_ip": f" {VIP}",
            "secret": "b20e06cf1abcf29c708d3b437f4a29892a0921d0",
        }
        before = self._state()
        yield self.ask("POST", path, 202, {"message": "OK"}, json=wish)
        certificate = f"{self.base}/{self.id}/certificates/WILDCARD.example.com.pem"
        plug = {"subnet_cidr": "203.0.113.0/24", "gateway": None, "mac_address": "02:00:00:00:0:1"}
        for method, where, sends, json in (
            ("POST", path, None, wish),
            *(("PUT", f"{self.base}/{self.id}/{do}", None, None) for do in ("start", "stop")),
            ("DELETE", f"{self.prefix}/listeners/{self.id}", None, None),
            ("PUT", certificate, self.agent.authorities.server("www.example.com"), None),
            ("DELETE", certificate, None, None),
            ("PUT", f"{self.base}/{AMPHORA_ID}/{self.id}/haproxy", "frontend x\n", None),
            ("POST", f"{self.prefix}/plug/vip/{VIP}", None, plug),
            ("POST", f"{self.prefix}/plug/network/", None, {"mac_address": "02:00:00:00:00:01"}),
        ):
            yield self.ask(method, where, 503, TRANSITION, sends=sends, json=json)
        yield "the state during the transition", Reply(200, self._state()), 200, before
        until(self._in_force, "the topology is in force", 30)
        yield self.ask(
            "GET",
            path,
            200,
            {
                "hostname": Like(".+"),
                "uuid": AMPHORA_ID,
                "topology": "ACTIVE-STANDBY",
                "role": "ACTIVE",
                "ha_ip": VIP,
            },
        )
        yield self.ask(
            "PUT",
            f"{self.prefix}/vrrp/start",
            202,
            {"message": "OK", "details": "keepalived started"},
        )
        yield self.ask("PUT", f"{self.prefix}/vrrp/stop", 202, Like(bool))
        yield self.ask("POST", path, 202, {"message": "OK"}, json={"topology": "SINGLE"})
        until(lambda: not self._moving(), "the node is alone again", 30)

    def ending(self) -> Iterator[Step]:
        path = f"{self.prefix}/listeners"
        unknown = {
            "message": "Listener Not Found",
            "details": f"No listener with UUID: {UNKNOWN}",
        }
        yield self.ask("DELETE", f"{path}/{UNKNOWN}", 404, unknown)
        yield self.ask("DELETE", f"{path}/{self.id}", 200, {"message": "OK"})
        yield self.ask("GET", path, 200, [])
        # Its address went with it, and comes back with the next that listens there.
        gone = {"message": "Error interface not found for IP address"}
        yield self.ask("GET", f"{self.prefix}/interface/{VIP}", 404, gone)
        upload = f"{self.base}/{AMPHORA_ID}/{self.id}/haproxy"
        yield self.ask("PUT", upload, 201, {"message": "OK"}, sends=self.config)
        yield self.ask("PUT", f"{self.base}/{self.id}/start", 202, Like(bool))
        there = {"message": "OK", "interface": "eth1"}
        yield self.ask("GET", f"{self.prefix}/interface/{VIP}", 200, there)

    # -- in parts ---------------------------------------------------------------------------------

    def _state(self) -> list[Any]:
        paths = (
            f"{self.prefix}/listeners",
            f"{self.base}/{self.id}/haproxy",
            f"{self.base}/{self.id}/certificates/WILDCARD.example.com.pem",
        )
        return [self.agent.call("GET", path).body for path in paths]

    def _moving(self) -> bool:
        """Whether a change that changes nothing is refused."""
        reply = self.agent.call("DELETE", f"{self.prefix}/listeners/{UNKNOWN}")
        return reply.status == 503

    def _in_force(self) -> bool:
        if self._moving():
            return False
        body = self.agent.call("GET", f"{self.prefix}/topology").body
        return bool(body["role"] == "ACTIVE")

    def _stop_of_a_dead_one(self) -> Step:
        """A HAProxy that died comes back within a second: then once more."""
        for _ in range(10):
            (master,) = self.agent.masters()
            pids = self.agent.pids()
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    os.kill(pid, number)
            step = self.ask(
                "PUT",
                f"{self.base}/{self.id}/stop",
                500,
                {
                    "message": "Error stopping haproxy",
                    "details": f"haproxy process with PID {master} not found",
                },
            )
            if step[1].status == 500:
                break
            self.agent.call("PUT", f"{self.base}/{self.id}/start")
        return step


def _key(pem: bytes) -> bytes:
    return pem[: pem.index(b"-----BEGIN CERT")]
