"""The node's topology: alone, or one of two that share an address by keepalived.

A change is begun at once and done in the background; until it is in force nothing else may be
changed (`Gate`). One that fails leaves the topology that was before.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from libra_amphora import files
from libra_amphora.gate import Gate
from libra_amphora.keepalived import Keepalived
from libra_amphora.plugged import ACTIVE_STANDBY, SINGLE, Home, IPAddress, Plugged
from libra_amphora.vrrp_pair import ADVERT_SECONDS, Pair, render
from libra_common.errors import LibraError
from libra_haproxy.errors import DiskError, StateUnreadable

LOG = logging.getLogger(__name__)

ACTIVE_ACTIVE = "ACTIVE-ACTIVE"
TOPOLOGIES = (SINGLE, ACTIVE_STANDBY, ACTIVE_ACTIVE)
ACTIVE, STANDBY = "ACTIVE", "STANDBY"
ROLES = (ACTIVE, STANDBY)

_SCHEMA = 1
_WAIT_FOR_CHANGES = 60.0
_POLL_SECONDS = 0.1
_DECISION_SECONDS = 3 * ADVERT_SECONDS + 2
"""By then two nodes that see each other have decided who has the address."""


class _Network(Protocol):
    """What is asked of the node's network."""

    @property
    def plugged(self) -> Plugged: ...
    def use_topology(self, topology: str) -> None: ...
    def interface_towards(self, address: IPAddress) -> str: ...
    def holds(self, address: IPAddress) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the node shall be; `ha_ip` and `role` are None where its controller said neither."""

    topology: str
    role: str | None = None
    ha_ip: IPAddress | None = None


class Topology:
    """The topology of one node, kept in the file at `path`; `configured` is the one of settings."""

    def __init__(
        self,
        *,
        network: _Network,
        keepalived: Keepalived,
        gate: Gate,
        path: Path,
        configured: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._network = network
        self._keepalived = keepalived
        self._gate = gate
        self._path = path
        self._clock = clock
        self._wish = Wish(topology=configured)
        self._mover: threading.Thread | None = None

    def open(self) -> None:
        """Take up the topology that was set last. Raises StateUnreadable or NetworkError."""
        found = self._read()
        if found is not None:
            self._wish = found
        self._network.use_topology(_layout(self._wish.topology))

    # -- reads -----------------------------------------------------------------------------

    @property
    def wish(self) -> Wish:
        """What was set last and is in force."""
        return self._wish

    @property
    def changing(self) -> bool:
        """Whether a change is under way."""
        return self._gate.moving

    @property
    def role(self) -> str:
        """ACTIVE or STANDBY, as it is now: who has the shared address is active."""
        wish = self._wish
        if wish.topology != ACTIVE_STANDBY:
            return ACTIVE
        shared = [wish.ha_ip] if wish.ha_ip else []
        shared += [home.address for plug in self._network.plugged.plugs for home in plug.vips]
        return ACTIVE if any(map(self._network.holds, shared)) else STANDBY

    # -- changes ---------------------------------------------------------------------------

    def set(self, wish: Wish, *, secret: str = "") -> bool:
        """Begin to be what is wished; whether there was anything to do.

        Raises TransitionInProgress, or NoSuchInterface where no interface is for `ha_ip`.
        """
        if wish.topology == ACTIVE_STANDBY and wish.ha_ip is not None:
            self._network.interface_towards(wish.ha_ip)
        self._gate.begin()
        if wish == self._wish and wish.topology != ACTIVE_STANDBY:
            self._gate.end()
            return False
        self._mover = threading.Thread(
            target=self._move, args=(wish, secret), name="topology", daemon=True
        )
        self._mover.start()
        return True

    def configure(self, topology: str) -> None:
        """Take a changed setting; the controller brings keepalived's configuration itself.

        Raises DiskError or NetworkError.
        """
        if topology != self._wish.topology:
            self._network.use_topology(_layout(topology))
            self._keep(Wish(topology=topology))

    def join(self, seconds: float) -> None:
        """Wait for a change that is under way."""
        if self._mover is not None:
            self._mover.join(seconds)

    def _move(self, wish: Wish, secret: str) -> None:
        before = self._wish
        try:
            if not self._gate.wait(_WAIT_FOR_CHANGES):
                LOG.error("the topology stays: other changes do not end")
                return
            self._go(wish, secret)
            self._keep(wish)
            LOG.info("the topology is %s now", wish.topology)
        except Exception as error:
            if isinstance(error, LibraError):
                LOG.error("the topology stays %s: %s", before.topology, error)
            else:
                LOG.exception("the topology stays %s", before.topology)
            self._go_back(before)
        finally:
            self._gate.end()

    def _go(self, wish: Wish, secret: str) -> None:
        if wish.topology != ACTIVE_STANDBY or wish.ha_ip is None or wish.role is None:
            self._keepalived.forget()
            self._network.use_topology(_layout(wish.topology))
            return
        interface = self._network.interface_towards(wish.ha_ip)
        pair = Pair(role=wish.role, ha_ip=wish.ha_ip, secret=secret)
        text = render(
            pair,
            interface=interface,
            home=self._home(wish.ha_ip),
            source=self._source(wish.ha_ip, interface),
        )
        self._keepalived.upload(text.encode())
        self._network.use_topology(ACTIVE_STANDBY)
        self._keepalived.start()
        deadline = self._clock() + _DECISION_SECONDS
        while self._clock() < deadline and not self._network.holds(wish.ha_ip):
            time.sleep(_POLL_SECONDS)

    def _go_back(self, before: Wish) -> None:
        try:
            if before.topology != ACTIVE_STANDBY:
                self._keepalived.forget()
            self._network.use_topology(_layout(before.topology))
        except LibraError as error:
            LOG.error("the former topology cannot be brought back: %s", error)

    def _home(self, address: IPAddress) -> Home | None:
        for plug in self._network.plugged.plugs:
            for home in plug.vips:
                if address in home.subnet:
                    return replace(home, address=address)
        return None

    def _source(self, shared: IPAddress, interface: str) -> IPAddress | None:
        """What to speak from: None where the interface has an address of its own for that.

        A port may be plugged with nothing but the shared address. Then it is a link-local one,
        made from the hardware address, so that the two nodes have different ones.
        """
        plug = next((one for one in self._network.plugged.plugs if one.name == interface), None)
        if shared.version == 6 or plug is None:
            return None
        own = [plug.vrrp_ip, *(home.address for home in plug.fixed_ips)]
        if any(address is not None and address.version == 4 for address in own):
            return None
        number = zlib.crc32(plug.mac.encode()) % (254 * 254)
        return ipaddress.IPv4Address(f"169.254.{1 + number // 254}.{1 + number % 254}")

    def _keep(self, wish: Wish) -> None:
        body = {
            "schema": _SCHEMA,
            "topology": wish.topology,
            "role": wish.role,
            "ha_ip": str(wish.ha_ip) if wish.ha_ip else None,
        }
        files.replace(self._path, json.dumps(body).encode())
        self._wish = wish

    def _read(self) -> Wish | None:
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["schema"] != _SCHEMA:
                raise StateUnreadable(f"{self._path} has schema {stored['schema']!r}")
            ha_ip = stored["ha_ip"]
            return Wish(
                topology=stored["topology"],
                role=stored["role"],
                ha_ip=ipaddress.ip_address(ha_ip) if ha_ip else None,
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskError(f"cannot read {self._path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateUnreadable(f"{self._path} is damaged: {error}") from error


def _layout(topology: str) -> str:
    """How interfaces are laid out: shared addresses are keepalived's in one topology alone."""
    return ACTIVE_STANDBY if topology == ACTIVE_STANDBY else SINGLE
