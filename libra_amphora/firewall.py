"""Which traffic an interface lets in, as nftables: for ports that no security group guards.

Each interface has a table of its own, so that putting one is one transaction and touches no other
interface, and no rule of anybody else's.
"""

from __future__ import annotations

import logging
import re

from libra_amphora import nft
from libra_amphora.network_errors import RulesRefused
from libra_amphora.plugged import Allowed

LOG = logging.getLogger(__name__)

PROTOCOLS = ("TCP", "UDP", "SCTP", "VRRP")
"""The protocols that a rule may name."""

_VRRP = 112
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,15}", re.ASCII)


def render(interface: str, allowed: tuple[Allowed, ...]) -> str:
    """The transaction that has `interface` let in `allowed`, answers, errors and neighbours.

    Raises RulesRefused for a name that nftables could read as something else.
    """
    if not _NAME.fullmatch(interface):
        raise RulesRefused(f"nftables cannot name the interface {interface!r}")
    table = f"libra_{interface.encode().hex()}"
    rules = "\n".join(f"    {_rule(one)}" for one in dict.fromkeys(allowed))
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{interface}" jump allowed
  }}
  chain allowed {{
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    icmp type destination-unreachable accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, packet-too-big, \
destination-unreachable }} accept
{rules}
    drop
  }}
}}
"""


def put(interface: str, allowed: tuple[Allowed, ...]) -> None:
    """Put the rules of an interface in force, in the calling thread's namespace.

    Raises RulesRefused; what was in force before still is then.
    """
    nft.put(render(interface, allowed))


def _rule(allowed: Allowed) -> str:
    source = ""
    if allowed.source is not None and allowed.source.prefixlen:
        family = "ip6" if allowed.source.version == 6 else "ip"
        source = f"{family} saddr {allowed.source} "
    elif allowed.source is not None:
        source = f"meta nfproto {'ipv6' if allowed.source.version == 6 else 'ipv4'} "
    if allowed.protocol == "VRRP":
        return f"{source}meta l4proto {_VRRP} accept"
    return f"{source}{allowed.protocol.lower()} dport {allowed.port} accept"
