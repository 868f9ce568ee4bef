"""Tokens that only Octavia's options need, beside the engine's; made from parsed values alone."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from libra_haproxy.tokens import BadToken, Token, keyword, number

_PRINTABLE = re.compile(r"[\x20-\x7e]{1,4096}", re.ASCII)
_ARGUMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
_CIPHERS = re.compile(r"[A-Za-z0-9\-+!:@=_.]{1,4096}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)

SOURCE_PORT = Token("tcp-request connection set-var(sess.source_port) src_port")
"""Keeps the port that a client comes from, for `BY_SOURCE_PORT`."""

BY_SOURCE_PORT = Token("hash src,concat(:,sess.source_port)")
"""A balance by a client's address and port (manual, 4.2 balance)."""

HAS_CERTIFICATE = Token("%[ssl_c_used,iif(true,false)]")
"""Whether a client showed a certificate, in the guide's words."""


def status_ranges(ranges: Sequence[tuple[int, int]]) -> list[str]:
    """HTTP statuses and ranges of them, both ends included, texts. Raises BadToken for none."""
    if not ranges:
        raise BadToken("no status")
    parts: list[str] = []
    for low, high in ranges:
        first, last = number(low, low=100, high=599), number(high, low=low, high=599)
        parts.append(first if low == high else f"{first}-{last}")
    return parts


def statuses(ranges: Sequence[tuple[int, int]]) -> Token:
    """HTTP statuses as `http-check expect status` takes them (manual, 4.2)."""
    return Token(",".join(status_ranges(ranges)))


def address(text: str) -> Token:
    """An IP address without a port, in canonical form; IPv6 in brackets, or a port is sought."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise BadToken(f"not an IP address: {text!r}") from error
    if getattr(found, "scope_id", None):
        raise BadToken(f"an address with a zone: {text!r}")
    return Token(f"[{found}]" if found.version == 6 else str(found))


def quoted(text: str) -> Token:
    """Any printable ASCII, as one word that HAProxy expands nothing in (manual, 2.2)."""
    if not _PRINTABLE.fullmatch(text):
        raise BadToken(f"not printable: {text!r}")
    return Token("'" + text.replace("'", "'\\''") + "'")


def said(text: str) -> Token:
    """The same where HAProxy reads a log-format: `%` is only itself (manual, 8.2.4)."""
    return quoted(text.replace("%", "%%"))


def pattern(text: str) -> Sequence[Token]:
    """What an ACL compares with; never one of its options (manual, 7.1)."""
    return (Token("--"), quoted(text))


def option(letter: str) -> Token:
    """An option of an ACL."""
    return Token(f"-{keyword(letter)}")


def sample(fetch: str, argument: str | None = None, *converters: str) -> Token:
    """A sample of a request or connection (manual, 7.3), with converters behind (7.3.1)."""
    if argument is not None and not _ARGUMENT.fullmatch(argument):
        raise BadToken(f"not an argument of a sample: {argument!r}")
    given = "" if argument is None else f"({argument})"
    return Token(",".join((f"{keyword(fetch)}{given}", *map(keyword, converters))))


def expanded(found: Token) -> Token:
    """A sample as a log-format has it (manual, 8.2.4)."""
    if not isinstance(found, Token):
        raise BadToken(f"not a token: {found!r}")
    return Token(f"%[{found}]")


def label(text: str) -> Token:
    """The name of an ACL of ours."""
    if not _LABEL.fullmatch(text):
        raise BadToken(f"not the name of an ACL: {text!r}")
    return Token(text)


def opposite(name: Token) -> Token:
    """That an ACL does not match."""
    return Token(f"!{label(name)}")


def network(found: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Token:
    """A network, in canonical form."""
    return Token(found.with_prefixlen)


def ciphers(text: str) -> Token:
    """Names of ciphers with colons between (manual, 5.1 ciphers)."""
    if not _CIPHERS.fullmatch(text):
        raise BadToken(f"not ciphers: {text!r}")
    return Token(text)
