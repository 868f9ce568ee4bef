"""Tokens that only Octavia's options need, beside the engine's; made from parsed values alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from libra_haproxy.tokens import BadToken, Token, number


def statuses(ranges: Sequence[tuple[int, int]]) -> Token:
    """HTTP statuses as `http-check expect status` takes them (manual, 4.2)."""
    if not ranges:
        raise BadToken("no status")
    parts = []
    for low, high in ranges:
        first, last = number(low, low=100, high=599), number(high, low=low, high=599)
        parts.append(first if low == high else f"{first}-{last}")
    return Token(",".join(parts))


def address(text: str) -> Token:
    """An IP address without a port, in canonical form; IPv6 in brackets, or a port is sought."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadToken(f"not an IP address: {text!r}") from error
    if getattr(found, "scope_id", None):
        raise BadToken(f"an address with a zone: {text!r}")
    return Token(f"[{found}]" if found.version == 6 else str(found))
