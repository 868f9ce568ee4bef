"""The installed packages that have to do with load balancing, without asking a program.

dpkg's own list is read again only when it has changed.
"""

from __future__ import annotations

import functools
import re
import ssl
from pathlib import Path

from libra_common.version import RELEASE

NAMES = (
    "haproxy",
    "keepalived",
    "openssl",
    "libssl3",
    "nftables",
    "ipvsadm",
    "nginx",
    "lighttpd",
    "python3",
    "bash",
)
"""What is looked for."""

_STATUS = Path("/var/lib/dpkg/status")
_PACKAGE = re.compile(r"^Package: (.+)$", re.MULTILINE)
_VERSION = re.compile(r"^Version: (.+)$", re.MULTILINE)
_INSTALLED = re.compile(r"^Status: \S+ \S+ installed$", re.MULTILINE)


def installed(*, haproxy: str, status: Path = _STATUS) -> list[dict[str, str]]:
    """Each package with its version; `haproxy` is that of the program that serves, if known."""
    found = dict(_dpkg(status))
    found.setdefault("openssl", ssl.OPENSSL_VERSION.split()[1])
    if haproxy:
        found["haproxy"] = haproxy
    return [{"libra": RELEASE}, *({name: found[name]} for name in NAMES if name in found)]


def _dpkg(status: Path) -> dict[str, str]:
    try:
        seen = status.stat()
    except OSError:
        return {}
    return _read(status, seen.st_mtime_ns, seen.st_size)


@functools.lru_cache(maxsize=2)
def _read(status: Path, mtime: int, size: int) -> dict[str, str]:  # noqa: ARG001 - they are the key
    found = {}
    try:
        text = status.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    for block in text.split("\n\n"):
        name = _PACKAGE.search(block)
        if name is not None and name[1] in NAMES and _INSTALLED.search(block):
            version = _VERSION.search(block)
            if version is not None:
                found[name[1]] = version[1]
    return found
