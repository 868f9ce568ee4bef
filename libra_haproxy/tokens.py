r"""The only way text enters HAProxy's file.

A token is a string that one of these functions has made after matching it whole against the
grammar of its place. The template engine refuses every other string (`skeleton.py`), so nothing can
be written that was not looked at here. What does not match is a programming error of the caller,
who has validated long before: `BadToken`, never cleaned, never cut.

HAProxy's own rules (manual, 2.2 quoting): a line ends at CR or LF even inside quotes; `#` starts
a comment even inside a word; inside double quotes `${X}` and `\` are expanded, inside single
quotes nothing is.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from libra_common import paths

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", re.ASCII)
_PROXY = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_ALPN = re.compile(r"[a-z][a-z0-9./-]{0,31}", re.ASCII)
_URI = re.compile(r"/[A-Za-z0-9._~!$&()*+,;=:@/?%-]{0,1023}", re.ASCII)


class BadToken(ValueError):
    """Text that does not belong where it was to be written."""


class Token(str):
    """Text that may be written as it stands. Made by this module only."""

    __slots__ = ()


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise BadToken(f"not {what}: {text!r}")
    return text


def name(text: str) -> Token:
    """A section, server or cookie name: ASCII letters, digits and `_.-`, at most 80."""
    return Token(_matched(_NAME, text, "a name"))


def proxy(text: str) -> Token:
    """A name that HAProxy itself gave back: what it allows in names (manual, 2.1), at most 255."""
    return Token(_matched(_PROXY, text, "a name of a section or server"))


def keyword(text: str) -> Token:
    """A word of HAProxy's own language, from a table of ours."""
    return Token(_matched(_NAME, text, "a keyword"))


def variable(text: str) -> Token:
    """The value of a variable of ours, as a sample (manual, 7.3.2 var)."""
    return Token(f"var({_matched(_NAME, text, 'a variable')})")


def alpn(protocols: Sequence[str]) -> Token:
    """Names of application protocols, in order of preference (manual, 5.1 alpn)."""
    return Token(",".join(_matched(_ALPN, one, "a protocol") for one in protocols))


def number(value: int, *, low: int = 0, high: int = 2**31 - 1) -> Token:
    """A whole number in its range; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadToken(f"not a number from {low} to {high}: {value!r}")
    return Token(str(value))


def milliseconds(value: int) -> Token:
    """A time in milliseconds, as HAProxy writes it (manual, 2.5 time format)."""
    return Token(f"{number(value, low=1)}ms")


def seconds(value: int) -> Token:
    """A time in seconds."""
    return Token(f"{number(value, low=1)}s")


@functools.lru_cache(maxsize=1 << 15, typed=True)
def endpoint(address: str, port: int) -> Token:
    """An IP address with a port; IPv6 in brackets, both in canonical form, never a host name."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise BadToken(f"not an IP address: {address!r}") from error
    if getattr(ip, "scope_id", None):
        raise BadToken(f"an address with a zone: {address!r}")
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    return Token(f"{host}:{number(port, low=1, high=65535)}")


def uri(text: str) -> Token:
    """A path with query, single-quoted: no quote, no control, no space, no `#` can be in it."""
    return Token(f"'{_matched(_URI, text, 'a path')}'")


def words(*parts: Token) -> Token:
    """Several tokens in a row, with a space between."""
    for part in parts:
        if not isinstance(part, Token):
            raise BadToken(f"not a token: {part!r}")
    return Token(" ".join(parts))


def file(path: Path) -> Token:
    """An absolute path of ours (never from a message), plain enough to stand without quotes."""
    return Token(_matched(paths.PLAIN, str(path), "a plain absolute path"))


def digest(text: str) -> Token:
    """A lower-case hexadecimal digest."""
    return Token(_matched(re.compile(r"[0-9a-f]{8,64}"), text, "a digest"))
