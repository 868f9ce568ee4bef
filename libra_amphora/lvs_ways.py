"""How members are chosen and clients stay with them: as asked for, and as the kernel does it. Pure.

What a configuration leaves out is keepalived's to choose, and not compared.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_PERSISTENT = 0x0001
_BY_PORT = 0x0010
"""IP_VS's flags of a service (linux/ip_vs.h): IP_VS_SVC_F_PERSISTENT, IP_VS_SVC_F_SCHED_SH_PORT."""

_WHOLE = {4: 2**32 - 1, 6: 128}


@dataclass(frozen=True, kw_only=True)
class Way:
    """Of one service. `seconds` is how long clients stay, 0 for not at all.

    `mask` says which clients stay together: a netmask for IPv4, a prefix's length for IPv6.
    """

    scheduler: str
    by_port: bool
    seconds: int
    mask: int | None


def asked(settings: Mapping[str, str], version: int) -> Way:
    """What the words of a virtual_server ask for, where clients come by this version of IP."""
    seconds = int(settings.get("persistence_timeout", "0"))
    return Way(
        scheduler=settings.get("lb_algo", settings.get("lvs_sched", "")),
        by_port="sh-port" in settings,
        seconds=seconds,
        mask=_mask(settings.get("persistence_granularity"), version) if seconds else None,
    )


def found(*, scheduler: str, flags: int, seconds: int, netmask: str, version: int) -> Way:
    """What the kernel says; `netmask` is what it has for one, written as an address of IPv4."""
    packed = ipaddress.IPv4Address(netmask).packed
    stays = bool(flags & _PERSISTENT)
    mask = int.from_bytes(packed, "big" if version == 4 else sys.byteorder)
    return Way(
        scheduler=scheduler,
        by_port=bool(flags & _BY_PORT),
        seconds=seconds if stays else 0,
        mask=mask if stays else None,
    )


def fits(one: Way, other: Way) -> bool:
    """Whether the kernel does what is asked for."""
    return (
        one.scheduler in ("", other.scheduler)
        and (one.by_port, one.seconds) == (other.by_port, other.seconds)
        and one.mask in (None, other.mask)
    )


def _mask(word: str | None, version: int) -> int | None:
    if word is None:
        return _WHOLE[version]
    if version == 6:
        return int(word) if word.isdecimal() else None
    try:
        return int(ipaddress.IPv4Address(word))
    except ValueError:
        return None
