"""What a device's API answers, in the agent's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from libra_octavia.agent.devices import DeviceAway


@dataclass(frozen=True)
class Reply:
    """What a device answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, None where it is no JSON."""
        with suppress(ValueError):
            return json.loads(self.body)
        return None

    @property
    def words(self) -> str:
        """What the device says for people."""
        found = self.json()
        if isinstance(found, dict):
            said = [str(found[name]) for name in ("message", "details") if found.get(name)]
            if said:
                return ": ".join(said)
        return f"status {self.status}"


class NotStarted(DeviceAway):
    """A device tried to serve a configuration and could not; it serves what it did before."""


@dataclass(frozen=True)
class Configuration:
    """What a device has: the text and its MD5, and whether it is served now."""

    md5: str
    in_force: bool
    text: str = field(repr=False)


@dataclass(frozen=True)
class Present:
    """HAProxy's configuration, if any, and the ids of the listeners of UDP and SCTP."""

    configuration: Configuration | None
    by_kernel: frozenset[str]


@dataclass(frozen=True)
class Standing:
    """What a device serves, by ids, and the highest fence that it has seen, 0 for none."""

    load_balancers: tuple[str, ...]
    listeners: tuple[str, ...]
    fence: int
