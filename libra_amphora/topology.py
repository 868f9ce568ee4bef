"""The node's topology: alone, or one of two that share an address by keepalived.

A change is begun at once and done in the background; until it is in force nothing else may be
changed (`Gate`). One that fails leaves the topology that was before. What is changed to is stored
first: an agent that was killed in the middle finishes it at its next start, or, where keepalived's
configuration had not come that far, has what was before.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from libra_amphora.gate import Gate
from libra_amphora.keepalived import Keepalived
from libra_amphora.plugged import ACTIVE_STANDBY, SINGLE, Home, IPAddress, Plugged
from libra_amphora.topology_store import Intent, TopologyStore, Wish
from libra_amphora.vrrp_pair import ADVERT_SECONDS, Pair, calmed, render
from libra_common.crash import crash_point
from libra_common.errors import LibraError

LOG = logging.getLogger(__name__)

ACTIVE_ACTIVE = "ACTIVE-ACTIVE"
TOPOLOGIES = (SINGLE, ACTIVE_STANDBY, ACTIVE_ACTIVE)
ACTIVE, STANDBY = "ACTIVE", "STANDBY"
ROLES = (ACTIVE, STANDBY)

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
        self._store = TopologyStore(path)
        self._clock = clock
        self._wish = Wish(topology=configured)
        self._mover: threading.Thread | None = None

    def open(self) -> None:
        """Take up the topology that was set last, before keepalived is opened.

        Raises StateUnreadable, DiskError or NetworkError.
        """
        found = self._store.load()
        if found is not None:
            self._wish, intent = found
            if intent is not None:
                self._settle(intent)
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
        before, text = self._wish, None
        try:
            text = self._keepalived.uploaded()
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
            self._go_back(before, text)
        finally:
            self._gate.end()

    def _go(self, wish: Wish, secret: str) -> None:
        if wish.ha_ip is None or wish.role is None or not wish.paired:
            self._store.save(self._wish, Intent(wish=wish))
            self._keepalived.forget()
            crash_point("topology_forgotten")
            self._network.use_topology(_layout(wish.topology))
            return
        interface = self._network.interface_towards(wish.ha_ip)
        pair = Pair(role=wish.role, ha_ip=wish.ha_ip, secret=secret)
        mark = secrets.token_hex(8)
        text = render(
            pair,
            interface=interface,
            home=self._home(wish.ha_ip),
            source=self._source(wish.ha_ip, interface),
            # The active one takes the address from a standby that was there first, this once.
            preempt=wish.role == ACTIVE,
        )
        taking, calm = (_marked(mark) + one.encode() for one in (text, calmed(text)))
        self._store.save(self._wish, Intent(wish=wish, mark=mark))
        crash_point("topology_intended")
        self._keepalived.upload(taking)
        crash_point("topology_uploaded")
        if wish.role == STANDBY and self._keepalived.running:
            self._keepalived.stop()  # one that has the address gives it to the other
        self._network.use_topology(ACTIVE_STANDBY)
        crash_point("topology_laid_out")
        self._keepalived.start()
        deadline = self._clock() + _DECISION_SECONDS
        while self._clock() < deadline and not self._network.holds(wish.ha_ip):
            time.sleep(_POLL_SECONDS)
        crash_point("topology_decided")
        if taking != calm:
            self._keepalived.upload(calm)
            self._keepalived.start()

    def _go_back(self, before: Wish, text: bytes | None) -> None:
        """Have what was before, with keepalived's `text` of then."""
        try:
            if before.topology != ACTIVE_STANDBY or text is None:
                self._keepalived.forget()
            elif text != self._keepalived.uploaded():
                self._keepalived.upload(text)
                if self._keepalived.running:
                    self._keepalived.reload()
            self._network.use_topology(_layout(before.topology))
            self._keep(before)
        except LibraError as error:
            LOG.error("the former topology cannot be brought back: %s", error)

    def _settle(self, intent: Intent) -> None:
        """Finish a change that the end of an agent cut short, or have what was before."""
        wish, before = intent.wish, self._wish
        text = self._keepalived.uploaded()
        there = wish.paired and text is not None and text.startswith(_marked(intent.mark))
        settled = wish if there or not wish.paired else before
        LOG.warning("a change of topology was cut short: it is %s", settled.topology)
        if settled.topology != ACTIVE_STANDBY or (settled is wish and not wish.paired):
            self._keepalived.forget()
        elif text is not None and there:
            self._keepalived.upload(calmed(text.decode()).encode())
            self._keepalived.take_up()
        self._keep(settled)

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
        self._store.save(wish)
        self._wish = wish


def _marked(mark: str) -> bytes:
    """The first line of a configuration, by which it is known which change it belongs to."""
    return f"# {mark}\n".encode()


def _layout(topology: str) -> str:
    """How interfaces are laid out: shared addresses are keepalived's in one topology alone."""
    return ACTIVE_STANDBY if topology == ACTIVE_STANDBY else SINGLE
