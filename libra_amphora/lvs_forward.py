"""Has the kernel pass on datagrams for UDP and SCTP listeners, and the answers to them.

IP_VS puts a member's address in the place of the load balancer's. The answer has to come back
through the node, so what goes to a member leaves with an address of the node's own; for that IP_VS
has to use the kernel's connection tracking. The rule is for what came to the listeners' addresses
alone, in a table of nftables of the agent's own: several agents may share a namespace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from libra_amphora import nft
from libra_amphora.namespace import Namespace
from libra_amphora.network_errors import PlugFailed
from libra_amphora.plugged import IPAddress

_NET = Path("/proc/sys/net")
_SETTINGS = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
_TRACKING = "ipv4/vs/conntrack"
_FORGETTING = "ipv4/vs/expire_nodest_conn"


def table_of(state_dir: Path) -> str:
    """The name of an agent's table."""
    return f"libra_lvs_{hashlib.sha256(str(state_dir).encode()).hexdigest()[:8]}"


def put(namespace: Namespace, table: str, addresses: list[IPAddress]) -> None:
    """Pass on what comes to `addresses`, and nothing else. Raises NetworkError."""
    namespace.run(lambda: _put(table, addresses))


def render(table: str, addresses: Iterable[IPAddress]) -> str:
    """The transaction that has just these."""
    rules = "\n".join(
        f"    ct original {'ip6' if address.version == 6 else 'ip'} daddr {address}"
        " meta l4proto { udp, sctp } masquerade"
        for address in addresses
    )
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
  chain answers {{
    type nat hook postrouting priority srcnat; policy accept;
{rules}
  }}
}}
"""


def _put(table: str, addresses: list[IPAddress]) -> None:
    for version in {address.version for address in addresses}:
        _set(_SETTINGS[version], "1")
    if addresses:
        _set(_TRACKING, "1")
        # Or who always sends from one port is heard by nobody for minutes once its member is gone.
        _set(_FORGETTING, "1")
    masquerade(table, addresses)


def masquerade(table: str, addresses: list[IPAddress]) -> None:
    """Put the rules in force, in the calling thread's namespace. Raises RulesRefused."""
    if addresses or nft.is_installed():
        nft.put(render(table, addresses))


def _set(name: str, value: str) -> None:
    path = _NET / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise PlugFailed(f"{path} cannot be set: {error.strerror}") from error
