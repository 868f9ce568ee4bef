"""ARCHIVE messages, and what a store holds of the lines that HAProxy logged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.node import Node
from tests.support.swift import Account, Swift

_PATH = re.compile(rb'"GET (/\S*) HTTP/1\.[01]"\n\Z')


def message(account: Account, container: str, *balancers: dict[str, Any]) -> dict[str, Any]:
    """An ARCHIVE of the given load balancers; of the HTTP one without an id where none is."""
    return {
        "hpcs_action": "ARCHIVE",
        "hpcs_object_store_type": "swift",
        "hpcs_object_store_basepath": container,
        "hpcs_object_store_endpoint": account.endpoint,
        "hpcs_object_store_token": account.token,
        "loadbalancers": list(balancers) or [{"protocol": "HTTP"}],
    }


def through(account: Account, port: int) -> Account:
    """The same account by way of a proxy."""
    return Account(re.sub(r":\d+/", f":{port}/", account.endpoint), account.token)


def local(node: Node) -> bytes:
    """All lines that are still on the node's disk, oldest first."""
    logs = [path for path in logs_of(node) if path.name.count(".") > 1]
    current = [path for path in logs_of(node) if path.name.count(".") == 1]
    return b"".join(path.read_bytes() for path in [*sorted(logs), *current])


def logs_of(node: Node) -> list[Path]:
    return list((node.folder / "logs" / "access").glob("*.log"))


def stored(swift: Swift, container: str) -> bytes:
    """All lines of all objects of a container, in the order of their names."""
    return b"".join(text for _, text in sorted(swift.objects(container).items()))


def paths(lines: bytes) -> Counter[str]:
    """How often each path was asked for, as lines have it."""
    found: Counter[str] = Counter()
    for line in lines.splitlines(keepends=True):
        path = _PATH.search(line)
        assert path, line
        found[path[1].decode()] += 1
    return found


def once(wanted: Iterable[str]) -> Counter[str]:
    return Counter(wanted)
