"""The kernel's IP_VS tables of a namespace: what is in them, and taking a service out.

Members and their weights are read from /proc/net/ip_vs, traffic by netlink: neither is in both.
pyroute2 is imported where it is used, as in `links`: few nodes have such listeners.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from libra_amphora.lvs_config import Place
from libra_amphora.lvs_errors import LvsError, NoIpVs
from libra_amphora.lvs_ways import Way, found
from libra_amphora.namespace import Namespace
from libra_amphora.network_errors import NetworkError
from libra_amphora.plugged import IPAddress
from libra_amphora.snapshot import Traffic

_TABLE = Path("/proc/thread-self/net/ip_vs")
_PROTOCOLS = {"UDP": socket.IPPROTO_UDP, "SCTP": socket.IPPROTO_SCTP}
_NAMES = {number: name for name, number in _PROTOCOLS.items()}

T = TypeVar("T")

Key = tuple[str, Place]
"""A service: its protocol, and where it listens."""


@dataclass(frozen=True)
class Row:
    """A member in the kernel; connections are those of now."""

    weight: int
    active: int
    inactive: int


Table = dict[Key, dict[Place, Row]]
"""The members of each service."""


class IpVs:
    """Of the namespace that a node's traffic lives in. Every call raises NoIpVs or LvsError."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def why_not(self) -> str | None:
        """Why there is no IP_VS here; None where there is. Asking has the kernel load it."""
        try:
            self.traffic()
        except LvsError as error:
            return str(error)
        return None

    def table(self) -> Table:
        """All services and members."""
        try:
            return parse(self._inside(_TABLE.read_text))
        except FileNotFoundError as error:
            raise NoIpVs("the kernel has no IP_VS") from error
        except OSError as error:
            raise LvsError(f"the kernel's IP_VS cannot be read: {error}") from error

    def traffic(self) -> dict[Key, Traffic]:
        """What went through each service since the kernel has it."""
        return self._services(_traffic)

    def ways(self) -> dict[Key, Way]:
        """How each service chooses among its members."""
        return self._services(_way)

    def _services(self, of: Callable[[Any, int], T]) -> dict[Key, T]:
        def ask() -> dict[Key, T]:
            from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
            from pyroute2.netlink.generic import ipvs

            with _netlink() as kernel:
                message = ipvs.ipvsmsg()
                message["cmd"] = ipvs.IPVS_CMD_GET_SERVICE
                message["version"] = ipvs.GENL_VERSION
                flags = NLM_F_REQUEST | NLM_F_DUMP
                messages = kernel.nlm_request(message, msg_type=kernel.prid, msg_flags=flags)
                return dict(_each(messages, of))

        return self._inside(ask)

    def remove(self, key: Key) -> None:
        """Take a service out with its members; one that is not there is fine."""
        protocol, (address, port) = key

        def remove() -> None:
            from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST
            from pyroute2.netlink.generic import ipvs

            message = ipvs.ipvsmsg()
            message["cmd"] = ipvs.IPVS_CMD_DEL_SERVICE
            message["version"] = ipvs.GENL_VERSION
            service = [
                ("IPVS_SVC_ATTR_AF", _family(address)),
                ("IPVS_SVC_ATTR_PROTOCOL", _PROTOCOLS[protocol]),
                ("IPVS_SVC_ATTR_ADDR", str(address)),
                ("IPVS_SVC_ATTR_PORT", port),
            ]
            message["attrs"] = [("IPVS_CMD_ATTR_SERVICE", {"attrs": service})]
            with _netlink() as kernel:
                kernel.nlm_request(
                    message, msg_type=kernel.prid, msg_flags=NLM_F_REQUEST | NLM_F_ACK
                )

        if key in self.table():
            self._inside(remove)

    def _inside(self, action: Callable[[], T]) -> T:
        try:
            return self._namespace.run(action)
        except NetworkError as error:
            raise LvsError(str(error)) from error


def parse(text: str) -> Table:
    """Read /proc/net/ip_vs. Raises LvsError where it is something else."""
    found: Table = {}
    members: dict[Place, Row] | None = None
    try:
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["->"] and words[1] != "RemoteAddress:Port" and members is not None:
                _, place, _, *counts = words
                members[_place(place)] = Row(*map(int, counts[:3]))
            elif words[:1] and words[0] in _PROTOCOLS:
                members = found.setdefault((words[0], _place(words[1])), {})
            elif words[:1] in (["TCP"], ["FWM"]):
                members = None
    except (ValueError, IndexError, TypeError) as error:
        raise LvsError(f"/proc/net/ip_vs cannot be understood: {error}") from error
    return found


def _place(word: str) -> Place:
    host, _, port = word.rpartition(":")
    address: IPAddress
    if host.startswith("["):
        address = ipaddress.IPv6Address(host.strip("[]"))
    else:
        address = ipaddress.IPv4Address(int(host, 16))
    return address, int(port, 16)


def _each(messages: Any, of: Callable[[Any, int], T]) -> Iterator[tuple[Key, T]]:
    for message in messages:
        service = message.get_attr("IPVS_CMD_ATTR_SERVICE")
        protocol = _NAMES.get(service.get_attr("IPVS_SVC_ATTR_PROTOCOL"))
        address = service.get_attr("IPVS_SVC_ATTR_ADDR")
        if protocol is not None and address is not None:
            place = ipaddress.ip_address(address), service.get_attr("IPVS_SVC_ATTR_PORT")
            yield (protocol, place), of(service, place[0].version)


def _traffic(service: Any, _: int) -> Traffic:
    counts = service.get_attr("IPVS_SVC_ATTR_STATS64") or service.get_attr("IPVS_SVC_ATTR_STATS")
    return Traffic(
        bytes_in=counts.get_attr("IPVS_STATS_ATTR_INBYTES") or 0,
        bytes_out=counts.get_attr("IPVS_STATS_ATTR_OUTBYTES") or 0,
        total_connections=counts.get_attr("IPVS_STATS_ATTR_CONNS") or 0,
    )


def _way(service: Any, version: int) -> Way:
    return found(
        scheduler=service.get_attr("IPVS_SVC_ATTR_SCHED_NAME") or "",
        flags=service.get_attr("IPVS_SVC_ATTR_FLAGS")["flags"],
        seconds=service.get_attr("IPVS_SVC_ATTR_TIMEOUT") or 0,
        netmask=service.get_attr("IPVS_SVC_ATTR_NETMASK"),
        version=version,
    )


def _family(address: IPAddress) -> int:
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


@contextmanager
def _netlink() -> Iterator[Any]:
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.generic import ipvs

    try:
        kernel = ipvs.IPVSSocket()
    except (NetlinkError, OSError) as error:
        raise NoIpVs(f"the kernel has no IP_VS: {_words(error)}") from error
    try:
        yield kernel
    except (NetlinkError, OSError) as error:
        raise LvsError(f"the kernel's IP_VS says: {_words(error)}") from error
    finally:
        kernel.close()


def _words(error: Exception) -> str:
    return error.args[1] if len(error.args) > 1 else str(error)
