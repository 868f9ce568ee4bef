"""keepalived's configuration for two nodes that a controller paired by POST topology. Pure.

Each node is told only its own role, the address they share and a secret. All else must come out
the same on both: the virtual router's number is made from the address, and they speak by
multicast, since neither knows the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from libra_amphora.plugged import Home, IPAddress

ADVERT_SECONDS = 1
"""How often the node that has the addresses says so."""

_PRIORITY = {"ACTIVE": 100, "STANDBY": 90}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What POST topology says: `role` is ACTIVE or STANDBY, what this node begins as."""

    role: str
    ha_ip: IPAddress
    secret: str = field(repr=False)


def render(
    pair: Pair,
    *,
    interface: str,
    home: Home | None = None,
    source: IPAddress | None = None,
    preempt: bool = False,
) -> str:
    """The configuration of this node: `interface` has the subnet of the shared address.

    `home` says how packets from that address leave; None leaves that to the main table. `source`
    is what this node speaks to the other from where the interface has no address of its own. With
    `preempt` it takes the address from a node of lower priority; without, one that has it keeps
    it, so that a failed node that comes back cuts no connection.
    """
    number = int.from_bytes(_digest(pair.ha_ip.packed)[:2]) % 255 + 1
    address = str(pair.ha_ip)
    authentication = []
    if pair.ha_ip.version == 4:  # VRRP version 3, which IPv6 needs, has none
        # It goes over the wire in clear: at least it does not give the secret away.
        password = _digest(pair.secret.encode()).hex()[:8]
        authentication = [
            "    authentication {",
            "        auth_type PASS",
            f"        auth_pass {password}",
            "    }",
        ]
    return "\n".join(
        [
            "vrrp_script check_script {",
            "    script /var/lib/octavia/vrrp/check_script.sh",
            "    interval 2",
            "    timeout 4",
            "    fall 2",
            "    rise 2",
            "}",
            "vrrp_instance libra {",
            "    state BACKUP",
            f"    interface {interface}",
            f"    virtual_router_id {number}",
            f"    priority {_PRIORITY[pair.role]}",
            *([] if preempt else ["    nopreempt"]),
            "    accept",
            f"    advert_int {ADVERT_SECONDS}",
            *([f"    mcast_src_ip {source}"] if source is not None else []),
            "    garp_master_refresh 5",
            "    garp_master_refresh_repeat 2",
            *authentication,
            "    virtual_ipaddress {",
            f"        {address}/{pair.ha_ip.max_prefixlen} dev {interface}",
            "    }",
            *_way_out(home, interface),
            "    track_script {",
            "        check_script",
            "    }",
            "}",
            "",
        ]
    )


def calmed(text: str) -> str:
    """A configuration that `render` made, with `preempt` or not, as it is without."""
    if "    nopreempt\n" in text:
        return text
    return text.replace("    accept\n", "    nopreempt\n    accept\n", 1)


def _way_out(home: Home | None, interface: str) -> list[str]:
    if home is None:
        return []
    address = f"{home.address}"
    routes = [f"{home.subnet} dev {interface} src {address} scope link table 1"]
    if home.gateway is not None:
        routes.append(f"default via {home.gateway} dev {interface} onlink table 1")
    routes += [
        f"{route.destination} via {route.nexthop} dev {interface} onlink table 1"
        for route in home.host_routes
    ]
    return [
        "    virtual_routes {",
        *(f"        {route}" for route in routes),
        "    }",
        "    virtual_rules {",
        f"        from {address}/{home.address.max_prefixlen} table 1 priority 100",
        "    }",
    ]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
