"""Addresses, subnets and hardware addresses in the bodies of requests, as pydantic types."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

import pydantic

from libra_amphora.plugged import IPAddress, IPNetwork

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
_LONGEST = 64


def address(value: Any) -> IPAddress:
    """An address without a zone. Raises ValueError."""
    found = ipaddress.ip_address(_text(value))
    if getattr(found, "scope_id", None):
        raise ValueError("is an address with a zone")
    return found


def usable_address(value: Any) -> IPAddress:
    """An address that an interface can have. Raises ValueError."""
    found = address(value)
    if found.is_unspecified or found.is_multicast or found.is_loopback:
        raise ValueError("is no address that an interface can have")
    return found


def network(value: Any) -> IPNetwork:
    """A subnet in its usual form, no bit set beyond its prefix. Raises ValueError."""
    if "/" not in _text(value):
        raise ValueError("is not in CIDR notation")
    return ipaddress.ip_network(value)


def loose_network(value: Any) -> IPNetwork:
    """A destination; bits beyond its prefix are dropped, as routers do. Raises ValueError."""
    return ipaddress.ip_network(_text(value), strict=False)


def optional_address(value: Any) -> IPAddress | None:
    """An address, or none: null and an empty text. Raises ValueError."""
    return None if value is None or value == "" else address(value)


def mac(value: Any) -> str:
    """A hardware address in lower case. Raises ValueError."""
    found = _text(value).strip().lower().replace("-", ":")
    if not _MAC.fullmatch(found):
        raise ValueError("is no hardware address like 78:31:c1:ce:0b:3c")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")  # noqa: TRY004 - what pydantic understands
    if len(value) > _LONGEST:
        raise ValueError("is too long")
    return value


_ADDRESS = pydantic.WithJsonSchema({"type": "string", "format": "ip"})
_NETWORK = pydantic.WithJsonSchema({"type": "string", "format": "cidr"})
_MAC_SCHEMA = pydantic.WithJsonSchema({"type": "string", "pattern": _MAC.pattern})
_OPTIONAL = pydantic.WithJsonSchema({"type": ["string", "null"], "format": "ip"})

Address = Annotated[IPAddress, pydantic.PlainValidator(address), _ADDRESS]
UsableAddress = Annotated[IPAddress, pydantic.PlainValidator(usable_address), _ADDRESS]
OptionalAddress = Annotated[IPAddress | None, pydantic.PlainValidator(optional_address), _OPTIONAL]
Network = Annotated[IPNetwork, pydantic.PlainValidator(network), _NETWORK]
LooseNetwork = Annotated[IPNetwork, pydantic.PlainValidator(loose_network), _NETWORK]
Mac = Annotated[str, pydantic.PlainValidator(mac), _MAC_SCHEMA]
