"""What may stand in a certificate; everything here raises RefusedCertificate."""

from __future__ import annotations

import contextlib
import ipaddress
import re

from libra_common.authority.errors import RefusedCertificate
from libra_common.authority.issuing import Address, Usage
from libra_common.roles import Role

MOST_DAYS = 36500.0
"""The longest time that may be asked for."""

_DNS = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
)


def role_of(role: Role | str | None) -> Role | None:
    """Give the role that is meant."""
    try:
        return None if role is None else Role(role)
    except ValueError:
        raise RefusedCertificate(f"role {role!r}: is none of {', '.join(Role)}") from None


def usage_of(usage: Usage | str) -> Usage:
    """Give the usage that is meant."""
    try:
        return Usage(usage)
    except ValueError:
        raise RefusedCertificate(f"usage {usage!r}: is none of {', '.join(Usage)}") from None


def check_days(days: float) -> None:
    """See that a time is one."""
    if not 0 < days <= MOST_DAYS:
        raise RefusedCertificate(f"days {days!r}: must be above 0 and at most {MOST_DAYS:g}")


def dns_of(name: str) -> str:
    """Give a host name in lower case."""
    folded = name.lower()
    if len(folded) > 253 or not _DNS.fullmatch(folded):
        raise RefusedCertificate(f"dns {name!r}: is no host name (international ones as xn--...)")
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(folded)
        raise RefusedCertificate(f"dns {name!r}: is an address, and belongs to the addresses")
    return folded


def address_of(text: str) -> Address:
    """Give the address that a text stands for."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text:
        raise RefusedCertificate(f"address {text!r}: is no IPv4 or IPv6 address without a zone")
    return address
