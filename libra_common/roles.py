"""Who a certificate speaks for: a role and a name, written in it as one URI.

A certificate of Libra's own authority carries `libra:ROLE:NAME` as a subject alternative name of
the type URI, NAME percent-encoded (RFC 3986). It stands beside DNS names and addresses, which say
where a server is found and never give a role.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

POOL_FUNCTION = "libra_pool_mgm"
"""The gearman function of the pool managers."""

PROVIDER_FUNCTION = "libra_octavia"
"""The gearman function of the Octavia provider's agents."""

RESERVED = (POOL_FUNCTION, PROVIDER_FUNCTION)
"""Functions that no node may be named after."""

NAME_LIMIT = 255
"""Bytes of the longest name that a certificate is made for."""

_SCHEME = "libra"


class Role(enum.StrEnum):
    """What the holder of a certificate may do at the gate; the values never change."""

    NODE = "node"
    """Takes the jobs of its own name."""

    CONTROLLER = "controller"
    """Submits jobs, and asks the servers what they know."""

    POOL = "pool"
    """A pool manager: takes the jobs of `libra_pool_mgm`, and submits to nodes."""

    PROVIDER = "provider"
    """An Octavia agent: takes the jobs of `libra_octavia`, and submits to the pool manager."""

    OPERATOR = "operator"
    """Everything."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a certificate."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    @property
    def uri(self) -> str:
        """The name as the certificate carries it."""
        return f"{_SCHEME}:{self.role}:{quote(self.name, safe='')}"


class NoIdentity(ValueError):
    """A certificate names no holder, several, or one that cannot be; the text says which."""


def fault_of(name: str, role: Role | None) -> str:
    """Say why no certificate may be made for `name` in `role`, "" if one may."""
    if not re.fullmatch(r"[!-~]+", name):
        return "a name is printable ASCII without spaces"
    if len(name) > NAME_LIMIT:
        return f"a name has at most {NAME_LIMIT} bytes"
    if role is Role.NODE and "/" in name:
        # Node "a" serves every function that begins with "a/", so "a/b" would be its prey.
        return "a node's name has no slash in it"
    if role is Role.NODE and name.lower().partition("@")[0] in RESERVED:
        # Pool managers call themselves libra_pool_mgm@HOST in gearmand's listings.
        return f"no node may be named {name}: that is the function of another daemon"
    return ""


def identity_of(uris: Iterable[str]) -> Identity:
    """Give the one holder that `uris`, those of a certificate, name; raises NoIdentity."""
    ours = [uri for uri in uris if uri.partition(":")[0].lower() == _SCHEME]
    if not ours:
        raise NoIdentity("it names no role of Libra")
    if len(ours) > 1:
        raise NoIdentity("it names several roles of Libra")
    _, _, rest = ours[0].partition(":")
    word, colon, quoted = rest.partition(":")
    try:
        identity = Identity(Role(word), unquote(quoted, errors="strict"))
    except ValueError:
        raise NoIdentity(f"its role cannot be read: {ours[0][:80]!r}") from None
    fault = fault_of(identity.name, identity.role)
    # One spelling only, or two certificates that differ could name the same holder.
    if fault or not colon or identity.uri != ours[0]:
        raise NoIdentity(f"its role cannot be read: {ours[0][:80]!r}")
    return identity
