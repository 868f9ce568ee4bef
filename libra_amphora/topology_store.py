"""What a node's topology is and shall become, and where that is kept."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libra_amphora import files
from libra_amphora.plugged import ACTIVE_STANDBY, IPAddress
from libra_haproxy.errors import DiskError, StateUnreadable

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the node shall be; `ha_ip` and `role` are None where its controller said neither."""

    topology: str
    role: str | None = None
    ha_ip: IPAddress | None = None

    @property
    def paired(self) -> bool:
        """Whether keepalived's configuration is made here; else its controller sends it."""
        return self.topology == ACTIVE_STANDBY and self.ha_ip is not None and self.role is not None


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A change that is under way; `mark` is in the keepalived configuration made for it."""

    wish: Wish
    mark: str = ""


class TopologyStore:
    """The file at `path`: what is in force, and a change that is under way."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, wish: Wish, intent: Intent | None = None) -> None:
        """Store, on disk for sure. Raises DiskError."""
        body = {"schema": SCHEMA, **_stored(wish)}
        if intent is not None:
            body["next"] = {**_stored(intent.wish), "mark": intent.mark}
        files.replace(self._path, json.dumps(body).encode())

    def load(self) -> tuple[Wish, Intent | None] | None:
        """What was stored last; None before the first. Raises DiskError or StateUnreadable."""
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["schema"] != SCHEMA:
                raise StateUnreadable(f"{self._path} has schema {stored['schema']!r}")
            coming = stored.get("next")
            if coming is None:
                return _wish(stored), None
            return _wish(stored), Intent(wish=_wish(coming), mark=str(coming["mark"]))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(f"cannot read {self._path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateUnreadable(f"{self._path} is damaged: {error}") from error


def _stored(wish: Wish) -> dict[str, Any]:
    return {
        "topology": wish.topology,
        "role": wish.role,
        "ha_ip": str(wish.ha_ip) if wish.ha_ip else None,
    }


def _wish(stored: Any) -> Wish:
    ha_ip = stored["ha_ip"]
    return Wish(
        topology=stored["topology"],
        role=stored["role"],
        ha_ip=ipaddress.ip_address(ha_ip) if ha_ip else None,
    )
