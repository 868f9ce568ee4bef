"""Options by a real Octavia, real devices and their addresses, many of them side by side.

A device takes seconds to build, and what is asked of one listener is no concern of another. So
proofs go on in rounds: each until it wants something served, and what all of them want then is
served together, by as few load balancers as can be. Whoever wants something of a load balancer
itself has one alone, and where one is refused or ends in ERROR, halves of it are tried until it
is known whose fault that is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support import netns
from tests.support.octavia_cloud import GATEWAY, OctaviaCloud, Refused
from tests.support.options.graph import Body
from tests.support.options.registry import Proof
from tests.support.options.stage import Stage

FAR = "198.19.200.1"
MOST = 8
"""Proofs of one load balancer: for each object Octavia reads all objects of its load balancer."""

_AT_ONCE = 4
"""Proofs that go on at the same time: many wait for a health check, and few need the machine."""

_AT_WORK = 3
"""Load balancers that are made or deleted at the same time: more keep each other waiting."""

# Octavia makes no graph with a pool that leaves these out (500).
_UNSET = dict.fromkeys(("tls_ciphers", "tls_versions", "alpn_protocols"))


class CloudStage(Stage):
    """The stage of one proof, which waits here for its load balancer and for its turn."""

    near = home = GATEWAY
    home6 = ""
    far = FAR
    silent = "203.0.113.126"

    def __init__(self, proof: Proof, prefix: str) -> None:
        super().__init__()
        self.ended = False
        self.error: BaseException | None = None
        self.wanted: Body = {}
        self.secrets: dict[str, Any] = {}
        self._prefix = prefix
        self._refusal: BaseException | None = None
        self._turn, self._rest = threading.Event(), threading.Event()
        # A thread is in the network namespace of whoever starts it.
        threading.Thread(target=self._run, args=(proof,), daemon=True).start()

    def serve(self, body: Body, secrets: Mapping[str, Any] | None = None) -> None:
        self.wanted = _renamed(body, self._prefix)
        self.secrets = {self._prefix + name: one for name, one in (secrets or {}).items()}
        self._rest.set()
        self._wait_for_turn()
        if self._refusal is not None:
            raise self._refusal

    def served(self, host: str) -> None:
        """What is wanted is served there."""
        self.host, self._refusal = host, None

    def refuse(self, error: BaseException) -> None:
        """What is wanted is not served."""
        self._refusal = error

    def go_on(self) -> None:
        """Let the proof go on until it has ended or wants something else served."""
        self._turn.set()
        self._rest.wait()
        self._rest.clear()

    def _wait_for_turn(self) -> None:
        self._turn.wait()
        self._turn.clear()

    def _run(self, proof: Proof) -> None:
        self._wait_for_turn()
        try:
            with contextlib.closing(self):
                proof(self)
        except BaseException as error:  # noqa: BLE001 - its test raises it
            self.error = error
        self.ended = True
        self._rest.set()


def prove(cloud: OctaviaCloud, proofs: Iterable[Proof]) -> dict[Proof, BaseException | None]:
    """Hold all proofs side by side; returns what each of them raised."""
    for address in (GATEWAY, FAR):
        with contextlib.suppress(AssertionError):
            netns.ip("address", "add", f"{address}/32", "dev", "lo", namespace=cloud.namespace)
    stages = {proof: CloudStage(proof, f"{n}-") for n, proof in enumerate(proofs)}
    left, balancers = list(stages.values()), _Balancers(cloud)
    while left:
        with ThreadPoolExecutor(_AT_ONCE) as some:
            list(some.map(CloudStage.go_on, left))
        balancers.remove_all()
        left = [one for one in left if not one.ended]
        balancers.serve(left)
    return {proof: stage.error for proof, stage in stages.items()}


class _Balancers:
    """The load balancers of a round."""

    def __init__(self, cloud: OctaviaCloud) -> None:
        self._cloud = cloud
        self._there: list[str] = []

    def serve(self, stages: Sequence[CloudStage]) -> None:
        """Serve what these want, or tell them why not."""
        alone = [one for one in stages if one.wanted.keys() - {"listeners", "pools"}]
        others = [one for one in stages if one not in alone]
        groups = [[one] for one in alone]
        groups += [others[first : first + MOST] for first in range(0, len(others), MOST)]
        while groups:
            asked = [(group, self._ask(group)) for group in groups[:_AT_WORK]]
            groups = groups[_AT_WORK:]
            for group, found in asked:
                error = found if isinstance(found, Refused) else self._fault(found)
                for one in group if error is None else ():
                    one.served(found["vip_address"])
                if error and len(group) == 1:
                    group[0].refuse(error)
                elif error:
                    half = len(group) // 2
                    groups += [group[:half], group[half:]]

    def remove_all(self) -> None:
        """Have them deleted, and wait until they are."""
        there, self._there = self._there, []
        for first in range(0, len(there), _AT_WORK):
            paths = [f"loadbalancers/{one}" for one in there[first : first + _AT_WORK]]
            for path in paths:
                self._cloud.api.call("DELETE", f"{path}?cascade=true")
            for path in paths:
                assert self._cloud.api.settled(path, 240) == "DELETED", path

    def _ask(self, group: Sequence[CloudStage]) -> Any:
        for one in group:
            for name, secret in one.secrets.items():
                self._cloud.api.keep(name, secret)
        body: Body = {}
        for one in group:
            body |= {key: [*body.get(key, ()), *one.wanted.get(key, ())] for key in _PARTS}
            body |= {key: value for key, value in one.wanted.items() if key not in _PARTS}
        body["pools"] = [{**_UNSET, **pool} for pool in body["pools"]]
        try:
            return self._cloud.balancer(settle=False, **body)
        except Refused as error:
            return error

    def _fault(self, made: dict[str, Any]) -> AssertionError | None:
        self._there.append(made["id"])
        found = self._cloud.api.settled(f"loadbalancers/{made['id']}", 240)
        if found == "ACTIVE":
            return None
        return AssertionError(f"the load balancer is {found}\n{self._cloud.said()}")


_PARTS = ("listeners", "pools")


def _renamed(value: Any, prefix: str, key: str = "") -> Any:
    """The same with names of pools and of secrets that nobody else uses."""
    if isinstance(value, dict):
        return {name: _renamed(one, prefix, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, prefix, key) for one in value]
    named = key == "name" or key.endswith(("_container_ref", "_container_refs"))
    return prefix + value if named and isinstance(value, str) else value
