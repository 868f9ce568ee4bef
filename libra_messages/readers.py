"""How one value of a message is read: each reader takes any JSON value and is exact.

A reader returns the value in its canonical form or raises `Refused` with the reason as a fault
shows it. What it returns is safe to be written into a HAProxy configuration: it matches the
grammar named here in full, in ASCII, and a value that does not match is refused, never mended.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from libra_messages.faults import shown
from libra_messages.fold import ascii_lower

NODE_ID = re.compile(r"(?![-.])[A-Za-z0-9_.-]{1,64}", re.ASCII)
"""The grammar of a node's id."""

PATH = re.compile(r"/(?:[A-Za-z0-9\-._~!$&()*+,;=:@/?]|%[0-9A-Fa-f]{2})*", re.ASCII)
"""The grammar of a monitor's path: RFC 3986 without fragment and without the single quote."""

PATH_CHARACTERS = 255
"""The longest path of a monitor."""

_DIGITS = re.compile(r"[0-9]{1,10}", re.ASCII)
_ADDRESS = "must be an IPv4 or IPv6 address (host names are not accepted)"

E = TypeVar("E", bound=StrEnum)


class Refused(ValueError):
    """A value that a reader does not take; its text is the reason of the fault."""


def number(least: int, most: int) -> Callable[[Any], int]:
    """Return a reader of whole numbers from `least` to `most`, both included.

    It takes a JSON integer, or a string of 1 to 10 ASCII digits as the API servers send.
    """

    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            found = value
        elif isinstance(value, str) and _DIGITS.fullmatch(value):
            found = int(value)
        else:
            raise Refused(f"must be a whole number, {least} to {most}, got {shown(value)}")
        if not least <= found <= most:
            raise Refused(f"must be {least} to {most}, got {shown(value)}")
        return found

    return read


def choice(kind: type[E]) -> Callable[[Any], E]:
    """Return a reader of one of the values of `kind`, in any case."""
    table = {ascii_lower(member.value): member for member in kind}
    names = " or ".join(member.value for member in kind)

    def read(value: Any) -> E:
        found = table.get(ascii_lower(value)) if isinstance(value, str) else None
        if found is None:
            raise Refused(f"must be {names}, got {shown(value)}")
        return found

    return read


def flag(value: Any) -> bool:
    """Read TRUE or FALSE, as a string in any case or as a JSON boolean."""
    if isinstance(value, bool):
        return value
    word = ascii_lower(value) if isinstance(value, str) else ""
    if word not in ("true", "false"):
        raise Refused(f"must be TRUE or FALSE, got {shown(value)}")
    return word == "true"


def address(value: Any) -> str:
    """Read an IPv4 or IPv6 address that one host can have; return its canonical text.

    Host names, zone ids, leading zeros, the unspecified addresses, multicast and broadcast are
    refused. An IPv4-mapped address keeps its dotted part, whatever the version of Python.
    """
    if not isinstance(value, str):
        raise Refused(f"{_ADDRESS}, got {shown(value)}")
    return _host(value)


@functools.lru_cache(maxsize=1 << 15)
def _host(value: str) -> str:
    """`address` of a string; a message of 10,000 nodes is mostly the one before it."""
    if not value.isascii() or "%" in value:
        zone = "; zone ids are not accepted" if "%" in value else ""
        raise Refused(f"{_ADDRESS}{zone}, got {shown(value)}")
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        raise Refused(f"{_ADDRESS}, got {shown(value)}") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    host = mapped or found
    if host.is_unspecified or host.is_multicast or str(host) == "255.255.255.255":
        raise Refused(
            "must be the address of one host, not an unspecified, multicast or broadcast "
            f"address, got {shown(value)}"
        )
    return f"::ffff:{mapped}" if mapped else str(found)


def node_id(value: Any) -> str | int | None:
    """Read the id of a node and return it in the type it came in; an empty string is absent."""
    if value == "" and isinstance(value, str):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**64:
        return value
    if isinstance(value, str) and NODE_ID.fullmatch(value):
        return value
    raise Refused(
        "must be a number of 0 or more, or 1 to 64 of the characters A-Z a-z 0-9 _ . - "
        f"not starting with - or ., got {shown(value)}"
    )


def path(value: Any) -> str:
    """Read the path of an HTTP monitor; an empty one is ``/``, a missing leading slash is added."""
    if not isinstance(value, str):
        raise Refused(f"must be a path such as '/', got {shown(value)}")
    found = value if value.startswith("/") else f"/{value}"
    if len(found) > PATH_CHARACTERS:
        raise Refused(f"must be at most {PATH_CHARACTERS} characters, got {len(found)}")
    if not PATH.fullmatch(found):
        raise Refused(
            "must be a URL path of ASCII letters, digits, valid %XX and "
            f"- . _ ~ ! $ & ( ) * + , ; = : @ / ?, got {shown(value)}"
        )
    return found


def label(value: Any) -> str | int:
    """Read an id that is only echoed: any string or integer, untouched."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Refused(f"must be a string or an integer, got {shown(value)}")


def text(value: Any) -> str:
    """Read a string that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise Refused(f"must be a string that is not empty, got {shown(value)}")
