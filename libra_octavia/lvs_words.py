"""Tokens of keepalived's LVS configuration, made from parsed values alone.

keepalived's rules (keepalived.conf(5)): `#` and `!` begin a comment anywhere, `$` a variable, `~`
and `@` are its own at the beginning of words, and a quote begins a text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from libra_haproxy.tokens import BadToken, Token, keyword, number
from libra_octavia.words import status_ranges

PATH = re.compile(r"/[A-Za-z0-9._%:,=+*?&/-]{0,511}", re.ASCII)
"""A path that keepalived reads as it stands."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(?::[0-9]{1,5})?", re.ASCII)

_UDP_CHECK = Token("/var/lib/octavia/lvs/check/udp_check.sh")
_SCTP_CHECK = Token("amphora-health-checker sctp")


def address(text: str) -> Token:
    """An IP address, in canonical form and without brackets."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadToken(f"not an IP address: {text!r}") from error
    if getattr(found, "scope_id", None):
        raise BadToken(f"an address with a zone: {text!r}")
    return Token(str(found))


def port(value: int) -> Token:
    """A port."""
    return number(value, low=1, high=65535)


def place(text: str, value: int) -> Token:
    """An address and a port, as keepalived has them."""
    return Token(f"{address(text)} {port(value)}")


def mask(version: int, length: int) -> Token:
    """The prefixes of clients that stay together: a netmask for IPv4, a length for IPv6."""
    if version == 4:
        return Token(ipaddress.IPv4Network((0, number(length, low=1, high=32))).netmask)
    return number(length, low=1, high=128)


def path(text: str) -> Token:
    """What is asked for by HTTP."""
    if not PATH.fullmatch(text):
        raise BadToken(f"not a path that keepalived can ask for: {text!r}")
    return Token(text)


def host(text: str) -> Token:
    """The name that is asked for, with its port if any."""
    if not _HOST.fullmatch(text):
        raise BadToken(f"not a host: {text!r}")
    return Token(text)


def statuses(ranges: Sequence[tuple[int, int]]) -> Token:
    """HTTP statuses and ranges of them, both ends included."""
    return Token(" ".join(status_ranges(ranges)))


def udp_check(where: Token) -> Token:
    """The program that sends a datagram, as Octavia calls it; devices run their own."""
    return _quoted(_UDP_CHECK, where)


def sctp_check(seconds: int, where: Token) -> Token:
    """The program that makes an association, and how long it may take."""
    return _quoted(_SCTP_CHECK, _option("t"), number(seconds, low=1), where)


def _option(letter: str) -> Token:
    return Token(f"-{keyword(letter)}")


def _quoted(*parts: Token) -> Token:
    return Token('"' + " ".join(parts) + '"')
