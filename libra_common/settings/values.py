"""Kinds of setting values: each turns a text into its value and back, or says what is wrong.

`parse` and `show` are inverse: `parse(show(value)) == value` for each value that `parse` gives.
That makes what --print-config writes a file that loads to the same settings.
"""

from __future__ import annotations

import abc
import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Any, NamedTuple

from libra_common import paths

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HOST_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_NUMBERS_ONLY = re.compile(r"[0-9.]+")
_SOCKET_PATH = 107  # bytes, unix(7)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class HostPort(NamedTuple):
    """A host (name, IPv4 or IPv6 address without brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Kind(abc.ABC):
    """What a setting's text means. `describe` is its type in words, for the reference page."""

    @abc.abstractmethod
    def parse(self, text: str) -> Any:
        """Give the value that `text` stands for; raises ValueError with the reason."""

    def show(self, value: Any) -> str:
        """Give the text that stands for `value` in a settings file."""
        return "" if value is None else str(value)

    @abc.abstractmethod
    def describe(self) -> str:
        """Say in a few words what may be written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """One line of text, without control characters."""

    words: str = "text"

    def parse(self, text: str) -> str:
        """Give the text itself."""
        return _clean(text)

    def describe(self) -> str:
        """Say what it is for."""
        return self.words


class Account(Text):
    """The name of a user or a group of the system."""

    def parse(self, text: str) -> str:
        """Give the name; whether it exists is seen when it is used."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}\$?", text):
            raise ValueError("is not the name of a user or group")
        return text


class FunctionName(Text):
    """A gearman function name; gearmand's protocol ends it with NUL and its admin lines at tabs."""

    limit = 512

    def parse(self, text: str) -> str:
        """Give the name."""
        if not text:
            raise ValueError("must not be empty")
        if len(text) > self.limit:
            raise ValueError(f"is longer than {self.limit} bytes")
        if not re.fullmatch(r"[!-~]+", text):
            raise ValueError("must be printable ASCII without spaces")
        return _clean(text)


class Basename(Text):
    """What the names of devices begin with: part of a host name."""

    def parse(self, text: str) -> str:
        """Give the name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text):
            raise ValueError("must be 1 to 63 letters, digits, dots, hyphens and underscores")
        return text


class Number(Kind):
    """A whole number between two bounds, both allowed; `optional`: empty is too, and gives None."""

    def __init__(self, *, minimum: int, maximum: int, optional: bool = False) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.optional = optional

    def parse(self, text: str) -> int | None:
        """Give the number."""
        if not text and self.optional:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError("is not a whole number")
        value = int(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"is not between {self.minimum} and {self.maximum}")
        return value

    def describe(self) -> str:
        """Name both bounds."""
        words = f"number, {self.minimum} to {self.maximum}"
        return words + (", may be empty" if self.optional else "")


class Switch(Kind):
    """Yes or no."""

    def parse(self, text: str) -> bool:
        """Give the truth of any of the usual words, in any case."""
        word = text.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise ValueError("is neither true nor false")

    def show(self, value: Any) -> str:
        """Give "true" or "false"."""
        return "true" if value else "false"

    def describe(self) -> str:
        """Name both words."""
        return "true or false"


class Choice(Kind):
    """One of a few words, in any case."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, text: str) -> str:
        """Give the word in lower case."""
        if text.lower() not in self.words:
            raise ValueError(f"is none of {', '.join(self.words)}")
        return text.lower()

    def describe(self) -> str:
        """List the words."""
        return "one of " + ", ".join(self.words)


class FilePath(Kind):
    """A path; made absolute when read, so that a later change of directory does no harm.

    `optional`: empty is allowed and gives None. `max_bytes` bounds its length, 0 for no bound.
    """

    def __init__(self, *, optional: bool = False, max_bytes: int = 0, why: str = "") -> None:
        self.optional = optional
        self.max_bytes = max_bytes
        self.why = why

    def parse(self, text: str) -> Path | None:
        """Give the absolute path, None for an empty text where that is allowed."""
        if not text:
            if self.optional:
                return None
            raise ValueError("must not be empty")
        path = Path(_clean(text)).absolute()
        length = len(str(path).encode())
        if self.max_bytes and length > self.max_bytes:
            raise ValueError(
                f"is {length} bytes long, at most {self.max_bytes} are possible ({self.why})"
            )
        _clean(str(path))
        return path

    def describe(self) -> str:
        """Say that it is a path, and its bound."""
        words = "path, may be empty" if self.optional else "path"
        return f"{words}, at most {self.max_bytes} bytes" if self.max_bytes else words


class PlainPath(FilePath):
    """A path that is written into HAProxy's configuration, with no character that means more."""

    def parse(self, text: str) -> Path | None:
        """Give the absolute path, None for an empty text where that is allowed."""
        path = super().parse(text)
        if path is not None and not paths.PLAIN.fullmatch(str(path)):
            raise ValueError("may have letters, digits and _ . , + @ / - only")
        return path

    def describe(self) -> str:
        """Say which characters it may have."""
        return f"{super().describe()}, of letters, digits and _ . , + @ / -"


class Endpoint(Kind):
    """`host:port`, `address:port` or `[IPv6 address]:port`; the port may have a default."""

    def __init__(self, *, default_port: int | None = None, optional: bool = False) -> None:
        self.default_port = default_port
        self.optional = optional

    def parse(self, text: str) -> HostPort | None:
        """Give host and port, None for an empty text where that is allowed."""
        if not text and self.optional:
            return None
        found = re.fullmatch(r"\[([^\[\]]*)\](?::(.*))?|([^:\[\]]*)(?::([^:]*))?", text)
        if found is None:
            raise ValueError("is not host:port; an IPv6 address is written [address]:port")
        bracketed, port1, plain, port2 = found.groups()
        port = port1 if port1 is not None else port2
        host = _address(bracketed) if bracketed is not None else _host(plain)
        if port is None:
            if self.default_port is None:
                raise ValueError("has no port")
            return HostPort(host, self.default_port)
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
            raise ValueError("has a port that is not between 1 and 65535")
        return HostPort(host, int(port))

    def describe(self) -> str:
        """Show how it is written."""
        words = "host:port" if self.default_port is None else f"host[:port, {self.default_port}]"
        return words + (", may be empty" if self.optional else "")


NOW, HAND = "now", "hand"


class Moment(Kind):
    """When something may be done: at once, when somebody asks, or at a time of day."""

    def parse(self, text: str) -> str:
        """Give the text itself."""
        if text not in (NOW, HAND) and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
            raise ValueError(f"is neither {NOW} nor {HAND} nor a time of day as 03:30")
        return text

    def describe(self) -> str:
        """Show what may be written."""
        return f"{NOW}, {HAND}, or a time of day in UTC as HH:MM"


class Loopback(Kind):
    """Where this machine alone may ask: a unix socket's path, or a port of a loopback address."""

    def parse(self, text: str) -> Path | HostPort | None:
        """Give the path, or address and port; None for an empty text."""
        if not text:
            return None
        if text.startswith("/"):
            return FilePath(max_bytes=_SOCKET_PATH, why="unix sockets end there").parse(text)
        found = Endpoint().parse(text)
        if found is None or not _is_loopback(found.host):
            raise ValueError("is neither a path nor the port of a loopback address")
        return found

    def describe(self) -> str:
        """Show how it is written."""
        return "path of a unix socket, or 127.0.0.1:port or [::1]:port; may be empty"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Address(Kind):
    """An IPv4 or IPv6 address, without brackets and without a zone."""

    def parse(self, text: str) -> str:
        """Give the address in its shortest usual form."""
        return _address(text)

    def describe(self) -> str:
        """Name it."""
        return "IPv4 or IPv6 address"


class Network(Kind):
    """A range of IPv4 addresses as `address/length`, no smaller than /`longest`."""

    def __init__(self, *, longest: int) -> None:
        self.longest = longest

    def parse(self, text: str) -> ipaddress.IPv4Network:
        """Give the range; an address inside of one is not one."""
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as reason:
            raise ValueError(f"is not a range of IPv4 addresses: {reason}") from None
        if "/" not in text:
            raise ValueError("is not a range of IPv4 addresses: it has no /length")
        if not 8 <= network.prefixlen <= self.longest:
            raise ValueError(f"is not between /8 and /{self.longest} in size")
        return network

    def describe(self) -> str:
        """Name both bounds."""
        return f"range of IPv4 addresses, /8 to /{self.longest}"


class NetworkV6(Kind):
    """A range of IPv6 addresses as `address/length`, no smaller than /`longest`."""

    def __init__(self, *, longest: int) -> None:
        self.longest = longest

    def parse(self, text: str) -> ipaddress.IPv6Network:
        """Give the range; an address inside of one is not one."""
        try:
            network = ipaddress.IPv6Network(text)
        except ValueError as reason:
            raise ValueError(f"is not a range of IPv6 addresses: {reason}") from None
        if "/" not in text:
            raise ValueError("is not a range of IPv6 addresses: it has no /length")
        if not 16 <= network.prefixlen <= self.longest:
            raise ValueError(f"is not between /16 and /{self.longest} in size")
        return network

    def describe(self) -> str:
        """Name both bounds."""
        return f"range of IPv6 addresses, /16 to /{self.longest}"


class Several(Kind):
    """A list, separated by commas or written one a line; the same entry twice is a mistake."""

    def __init__(self, of: Kind, *, optional: bool = False) -> None:
        self.of = of
        self.optional = optional

    def parse(self, text: str) -> tuple[Any, ...]:
        """Give the entries in their order."""
        values: list[Any] = []
        for part in re.split(r"[,\n]", text) if text.strip() else []:
            entry = part.strip()
            if not entry:
                if "\n" in text:
                    continue
                raise ValueError("has an empty entry")
            try:
                value = self.of.parse(entry)
            except ValueError as error:
                raise ValueError(f"entry {entry!r} {error}") from None
            if value in values:
                raise ValueError(f"names {entry!r} twice")
            values.append(value)
        if not values and not self.optional:
            raise ValueError("must name at least one")
        return tuple(values)

    def show(self, value: Any) -> str:
        """Give the entries on one line."""
        return ", ".join(self.of.show(entry) for entry in value)

    def describe(self) -> str:
        """Say what it lists."""
        words = f"comma separated list of {self.of.describe()}"
        return words + (", may be empty" if self.optional else "")


def _clean(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("has a control character or is not valid text")
    if "\\$" in text:
        # The reader of the file takes this pair for an escaped dollar sign, so there would be
        # no way to write such a value down.
        raise ValueError("has a backslash before a dollar sign")
    return text


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("is not an IPv4 or IPv6 address") from None
    if "%" in text:
        raise ValueError("is an address with a zone, which is not supported")
    return str(address)


def _host(text: str) -> str:
    if _NUMBERS_ONLY.fullmatch(text):
        return _address(text)
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("has no valid host name or address")
    return text
