"""Load balancers without what is below them: their addresses, flavor and zone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from libra_octavia.objects.fields import Fault, Fields, Unsupported

FLAVOR: Mapping[str, str] = MappingProxyType(
    {
        "topology": "The topology of the load balancer: SINGLE.",
        "loadbalancer_topology": "Another name of topology.",
        "compute_flavor": "The size of the load balancer's device, name or id of a flavor.",
    }
)
"""The keys that a flavor may have, and what they mean."""

ZONE: Mapping[str, str] = MappingProxyType(
    {
        "compute_zone": "The availability zone in which devices are built.",
        "management_network": "The network, name or id, through which devices are managed.",
    }
)
"""The keys that an availability zone may have, and what they mean."""

_MEANINGLESS = ("name", "description", "project_id", "vip_network_id", "vip_port_id")


def read_vip(source: object) -> tuple[str, tuple[str, ...], bool]:
    """The id, the addresses that clients come to, and whether it is up. Raises Unsupported."""
    with Fields.of(source, "load balancer", "loadbalancer_id") as fields:
        fields.ignore(*_MEANINGLESS, "vip_subnet_id", "listeners", "pools")
        for name, check in (("flavor", check_flavor), ("availability_zone", check_zone)):
            value = fields.raw(name)
            # In a tree it is the zone's name, and was checked when it was given.
            if isinstance(value, Mapping):
                for fault in check(value):
                    fields.fault(f"{name}.{fault.field}", fault.why)
        for name in ("vip_qos_policy_id", "vip_sg_ids"):
            if fields.raw(name):
                fields.fault(name, "is not supported by this provider yet")
        addresses = [fields.address("vip_address")]
        addresses += [
            Fields(one, "additional VIP").address("ip_address")
            for one in fields.raw("additional_vips", ())
        ]
        return (
            fields.id("loadbalancer_id"),
            tuple(dict.fromkeys(address for address in addresses if address)),
            fields.flag("admin_state_up", default=True),
        )


def check_flavor(metadata: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with a flavor's metadata."""
    faults = _texts(metadata, FLAVOR)
    for name in ("topology", "loadbalancer_topology"):
        value = metadata.get(name)
        if isinstance(value, str) and value != "SINGLE":
            faults.append(Fault(name, f"{value!r} is not supported by this provider, only SINGLE"))
    return faults


def check_zone(metadata: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with an availability zone's metadata."""
    return _texts(metadata, ZONE)


def refuse(what: str, faults: list[Fault]) -> None:
    """Raise Unsupported where there are faults."""
    if faults:
        raise Unsupported(what, tuple(faults))


def _texts(metadata: Mapping[str, Any], known: Mapping[str, str]) -> list[Fault]:
    faults = []
    for name, value in metadata.items():
        if name not in known:
            why = "is not known to this provider; it knows " + ", ".join(known)
            faults.append(Fault(str(name), why))
        elif not (isinstance(value, str) and value.strip() and value.isprintable()):
            faults.append(Fault(name, f"must be a text of printable characters, is {value!r}"))
        elif len(value) > 255:
            faults.append(Fault(name, "must not be longer than 255 characters"))
    return faults
