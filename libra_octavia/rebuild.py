"""Fills an inventory that was lost: from the pool manager, from devices and from Octavia.

The pool manager knows which devices and ports there are, each device which load balancer it serves
and the highest fence that it has seen, and Octavia the rest. Nothing is built, changed or deleted:
whoever serves the load balancers then compares each with what it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from libra_octavia.agent.devices import DeviceAway, DeviceRefused
from libra_octavia.agent.octavia import Octavia
from libra_octavia.devices.api import Standing
from libra_octavia.devices.pool import GOOD_STATES
from libra_octavia.devices.wishes import port_key
from libra_octavia.inventory import Addresses, Certificate, Database, Device, Kind, Port, migrate
from libra_octavia.inventory.devices import READY
from libra_octavia.inventory.restore import Found, restore
from libra_octavia.inventory.sync import sync_one
from libra_octavia.objects.fields import plain


class Fate(StrEnum):
    """What was found of a device."""

    ADDED = "added"
    KNOWN = "known, or another device serves its load balancer"
    LOST = "lost, says the pool manager"
    SILENT = "does not answer"
    IDLE = "serves no load balancer that Octavia has"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A device of the pool, and what became of it; `why` has more words where there are any."""

    name: str
    fate: Fate
    load_balancer_id: str | None = None
    why: str = ""


class Pool(Protocol):
    """What is asked of the pool manager."""

    def devices(self) -> Sequence[Mapping[str, Any]]:
        """Every device of the pool, as LIST_DEVICES has it."""


class Rebuilder:
    """Rebuilds; `standing` and `certificate` ask a device by its amphora id, name and address.

    With `floating`, load balancers' addresses are the pool manager's.
    """

    def __init__(
        self,
        *,
        database: Database,
        pool: Pool,
        octavia: Octavia,
        standing: Callable[[str, str], Standing],
        certificate: Callable[[str, str, str], Certificate],
        floating: bool,
    ) -> None:
        self._database = database
        self._pool = pool
        self._octavia = octavia
        self._standing = standing
        self._certificate = certificate
        self._floating = floating

    def rebuild(self) -> Sequence[Finding]:
        """Look at every device that has an agent; may be done again, and beside running agents.

        Raises DeviceAway where the pool manager, OctaviaAway where Octavia and InventoryAway where
        the database does not answer.
        """
        migrate(self._database)
        findings, serving = [], []
        for listed in self._pool.devices():
            if not listed.get("amphora_id"):
                continue  # a device of somebody else's
            found = self._looked_at(listed)
            if isinstance(found, Finding):
                findings.append(found)
            else:
                serving.append(found)
        # Of two that serve the same one (a failover was under way) the one with the higher fence.
        serving.sort(key=lambda one: one.fence, reverse=True)
        findings += [self._restored(one) for one in serving]
        return sorted(findings, key=lambda one: one.name)

    def _looked_at(self, listed: Mapping[str, Any]) -> Finding | Found:
        name, amphora = str(listed["name"]), str(listed["amphora_id"])
        address = str(listed.get("addr") or "")
        if str(listed.get("state")) not in GOOD_STATES or not address:
            return Finding(name=name, fate=Fate.LOST, why=str(listed.get("fault") or ""))
        try:
            standing = self._standing(amphora, address)
            certificate = self._certificate(amphora, name, address)
        except (DeviceAway, DeviceRefused) as error:
            return Finding(name=name, fate=Fate.SILENT, why=str(error))
        owner, tree = self._owner(standing)
        if owner is None:
            return Finding(name=name, fate=Fate.IDLE)
        return Found(
            device=Device(
                name=name,
                state=READY,
                load_balancer_id=owner,
                amphora_id=amphora,
                address=address,
            ),
            fence=standing.fence,
            ports=ports_of(listed, amphora, subnets_of(tree)),
            certificate=certificate,
        )

    def _owner(self, standing: Standing) -> tuple[str | None, Any]:
        """The load balancer that a device serves, and its tree."""
        named = list(standing.load_balancers)
        for listener in standing.listeners:
            if named:
                break
            owner = self._octavia.owner(Kind.LISTENER, listener)
            named += [owner] if owner else []
        for name in named:
            tree = self._octavia.tree(name)
            if tree is not None:
                return name, tree
        return None, None

    def _restored(self, found: Found) -> Finding:
        device = found.device
        balancer = device.load_balancer_id
        assert balancer is not None  # noqa: S101 - it was found by it
        if not restore(self._database, found):
            return Finding(name=device.name, fate=Fate.KNOWN, load_balancer_id=balancer)
        if self._floating:
            self._led(balancer, device)
        sync_one(self._database, balancer)
        return Finding(name=device.name, fate=Fate.ADDED, load_balancer_id=balancer)

    def _led(self, balancer: str, device: Device) -> None:
        tree = self._octavia.tree(balancer)
        ip = None if tree is None else plain(tree).get("vip_address")
        if ip:
            addresses = Addresses(self._database)
            addresses.begin(balancer)
            addresses.made(balancer, str(ip))
            addresses.led(balancer, device.name)


def subnets_of(tree: object) -> set[str]:
    """Every subnet in which a load balancer may want a port; the empty one is for none."""
    found = {""}
    top = plain(tree)
    pools = [*top.get("pools", ()), *(plain(one).get("default_pool") for one in _of(top))]
    for one in (top, *top.get("additional_vips", ())):
        found.update(_texts(plain(one), "vip_subnet_id", "subnet_id"))
    for pool in pools:
        if pool:
            for member in plain(pool).get("members", ()):
                found.update(_texts(plain(member), "subnet_id"))
    return found


def ports_of(listed: Mapping[str, Any], amphora_id: str, subnets: Iterable[str]) -> list[Port]:
    """The ports of a device that the pool manager lists, by the subnets that they are in.

    One whose subnet nobody names any more is known by its key instead, so that it is given back.
    """
    by_key = {port_key(amphora_id, subnet): subnet for subnet in subnets}
    found = []
    for said in listed.get("ports") or ():
        key = str(said.get("key") or said.get("port"))
        found.append(
            Port(
                device=str(listed["name"]),
                subnet=by_key.get(key, key),
                addresses=tuple(map(str, said.get("addresses") or ())),
                port={name: value for name, value in said.items() if name != "key"},
                # The device is asked once more; it has it already.
                plugged=False,
            )
        )
    return found


def _of(top: Mapping[str, Any]) -> Iterable[Any]:
    return top.get("listeners") or ()


def _texts(fields: Mapping[str, Any], *names: str) -> set[str]:
    return {str(fields[name]) for name in names if fields.get(name)}
