"""What pools of UDP and SCTP, their members and monitors may have, and no others may."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from libra_octavia.lvs_words import PATH
from libra_octavia.model import Member, Monitor, MonitorType, PoolProtocol
from libra_octavia.objects.fields import Fault, Fields

MOST_SECONDS = 31 * 86_400
"""The longest time that keepalived lets a client stay with its member."""

MOST_CHECK_SECONDS = 4_293
"""The longest time that keepalived gives a check: 2^32 microseconds, less a second of ours."""

_TYPES = (MonitorType.UDP_CONNECT, MonitorType.SCTP, MonitorType.TCP, MonitorType.HTTP)


def read_stay(fields: Fields) -> tuple[int | None, tuple[int, int] | None]:
    """The timeout in seconds and the granularity of a session persistence."""
    timeout = None
    if fields.has("persistence_timeout"):
        timeout = fields.number("persistence_timeout", low=1, high=MOST_SECONDS)
    return timeout, _granularity(fields)


def _granularity(fields: Fields) -> tuple[int, int] | None:
    value = fields.raw("persistence_granularity")
    if value is None:
        return None
    try:
        mask = ipaddress.ip_address(str(value))
    except ValueError:
        mask = ipaddress.IPv4Address(0)
    bits = f"{int(mask):0{mask.max_prefixlen}b}"
    length = bits.count("1")
    if length == 0 or "01" in bits:
        fields.fault(
            "persistence_granularity",
            f"must be a netmask as 255.255.255.0 or ffff:ffff:ffff:ffff::, is {value!r}",
        )
        return None
    return mask.version, length


def monitor_faults(protocol: PoolProtocol, monitor: Monitor) -> Iterator[Fault]:
    """What is wrong with a monitor for the members of such a pool."""
    if not protocol.by_kernel:
        if monitor.type.by_kernel:
            yield Fault("type", f"{monitor.type} is for pools of UDP and SCTP alone")
        return
    if monitor.type not in _TYPES:
        known = ", ".join(_TYPES)
        yield Fault("type", f"{monitor.type} is not possible for pools of {protocol}, only {known}")
    elif monitor.type is MonitorType.HTTP:
        if monitor.method != "GET":
            yield Fault("http_method", f"must be GET for pools of {protocol}")
        if not PATH.fullmatch(monitor.path):
            yield Fault(
                "url_path",
                f"must have letters, digits and ._%:,=+*?&/- alone for pools of {protocol}, at"
                " most 512",
            )
    if monitor.timeout > MOST_CHECK_SECONDS:
        yield Fault("timeout", f"must be at most {MOST_CHECK_SECONDS} for pools of {protocol}")


def member_faults(
    protocol: PoolProtocol, member: Member, addresses: Collection[str]
) -> Iterator[Fault]:
    """What is wrong with a member of such a pool; clients come to these addresses."""
    if not protocol.by_kernel:
        return
    if member.backup:
        yield Fault("backup", f"is not possible in pools of {protocol}")
    versions = {ipaddress.ip_address(address).version for address in addresses}
    if versions and ipaddress.ip_address(member.address).version not in versions:
        yield Fault(
            "address", f"must be of the family of the VIP in pools of {protocol}, as IP_VS has it"
        )
