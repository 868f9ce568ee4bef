"""Plugging: the story of an interface from the controller's call to traffic, and after a reboot.

A controller names an interface by its hardware address, and it gets what `layout` says. Whatever
the kernel refuses, all is put back as it was. What was asked for is stored before it is done:
after kill -9 in the middle, `restore` finishes it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Container, Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

from libra_amphora.layout import Layout, layout
from libra_amphora.links import Link
from libra_amphora.namespace import Namespace
from libra_amphora.network_errors import (
    AlreadyPlugged,
    NetworkError,
    NoSuchAddress,
    NoSuchInterface,
)
from libra_amphora.plugged import (
    ACTIVE_STANDBY,
    Allowed,
    IPAddress,
    Plug,
    Plugged,
    PlugStore,
    vips,
)
from libra_amphora.ports import Ports

LOG = logging.getLogger(__name__)

_NOTHING = Layout()


class Network:
    """The interfaces of one node; `netns` is empty where it has no namespace of its own.

    Changes take turns; none waits for anything but the kernel.
    """

    def __init__(self, *, netns: str, state_dir: Path) -> None:
        self.namespace = Namespace(netns)
        self._ports = Ports(self.namespace)
        self._store = PlugStore(directory=state_dir)
        self._turn = threading.Lock()
        self._plugged = Plugged()
        self._resting: set[str] = set()
        self._missing: tuple[str, ...] = ()

    # -- changes ---------------------------------------------------------------------------

    def restore(self) -> tuple[str, ...]:
        """Bring all that was plugged into force again; gives the interfaces that are not.

        `look` goes on looking for those. Raises PlugsUnreadable, or NetworkError when the
        namespace cannot be used.
        """
        with self._turn:
            self._plugged = self._store.load()
            self.namespace.ensure()
            self._ports.loopback_up()
            self._may_listen(self._plugged.topology)
            self._missing = tuple(plug.mac for plug in self._plugged.plugs)
            self._find_missing(logging.WARNING)
            return self._missing

    def look(self) -> None:
        """Plug what `restore` could not, should that be possible now."""
        if self._missing:
            with self._turn:
                self._find_missing(logging.DEBUG)

    def plug_vip(self, plug: Plug) -> str:
        """Plug the load balancer's addresses; gives the interface's name.

        Raises AlreadyPlugged, NoSuchInterface or PlugFailed.
        """
        with self._turn:
            if self._plugged.find(plug.mac) is not None:
                raise AlreadyPlugged("Interface already exists")
            return self._plug(plug, old=None)

    def plug_network(self, plug: Plug) -> tuple[str, bool]:
        """Plug an interface towards members, or change it; gives its name and if it was there.

        One that carries the load balancer's addresses keeps what of them `plug` does not name:
        a controller that adds a subnet to that port sends its first address only.
        Raises NoSuchInterface or PlugFailed.
        """
        with self._turn:
            old = self._plugged.find(plug.mac)
            if old is not None:
                plug = replace(plug, name=old.name, allowed=old.allowed)
                if not plug.vips:
                    plug = replace(plug, vips=old.vips, vrrp_ip=old.vrrp_ip)
                elif old.vips[:1] and len(plug.vips) == 1:
                    plug = replace(plug, vips=(*plug.vips, *old.vips[1:]))
                if plug.mtu is None:
                    plug = replace(plug, mtu=old.mtu)
            return self._plug(plug, old=old), old is not None

    def use_topology(self, topology: str) -> None:
        """Lay the interfaces out for SINGLE or ACTIVE-STANDBY. Raises PlugFailed."""
        with self._turn:
            before = self._plugged
            if before.topology == topology:
                return
            self._may_listen(topology)
            self._keep(replace(before, topology=topology))
            try:
                for plug in before.plugs:
                    if self._there(plug.mac):
                        self._bring(plug, old=layout(plug, before.topology))
            except NetworkError:
                self._keep(before)
                for plug in before.plugs:
                    if self._there(plug.mac):
                        self._bring(plug, old=layout(plug, topology))
                raise

    def allow(self, address: IPAddress, allowed: tuple[Allowed, ...]) -> str:
        """Let in only this by the interface that has `address`; gives its name.

        Raises NoSuchAddress or RulesRefused; what was allowed before still is then.
        """
        with self._turn:
            name = self.interface_of(address)
            before = self._plugged
            plug = next((plug for plug in before.plugs if plug.name == name), None)
            if plug is None:
                raise NoSuchAddress(f"{address} is on {name}, which was never plugged")
            changed = replace(plug, allowed=allowed)
            self._keep(replace(before, plugs=before.plugs_with(changed)))
            try:
                self._ports.allow(name, allowed)
            except NetworkError:
                self._keep(before)
                raise
            return name

    def drop_vips(self) -> tuple[IPAddress, ...]:
        """Take away shared addresses that a keepalived left when it was killed; gives them."""
        with self._turn:
            if self._plugged.topology != ACTIVE_STANDBY:
                return ()
            return self._ports.take(vips(self._plugged.plugs))

    def rest(self, used: Container[IPAddress]) -> None:
        """Take the load balancer's addresses and rules from ports of which none is in `used`.

        They stay plugged: a controller plugs them once, and `wake` brings them back. Shared ones
        are keepalived's. Raises PlugFailed.
        """
        with self._turn:
            if self._plugged.topology == ACTIVE_STANDBY:
                return
            for plug in self._plugged.plugs:
                if any(home.address in used for home in plug.vips) or not plug.vips:
                    continue
                if plug.mac not in self._resting and self._there(plug.mac):
                    # Laid out as if another node had them: the port's own address stays.
                    old = layout(plug, self._plugged.topology)
                    self._bring(plug, old=old, topology=ACTIVE_STANDBY)
                    self._resting.add(plug.mac)

    def wake(self) -> None:
        """Bring back all addresses that rest. Raises PlugFailed."""
        with self._turn:
            for mac in tuple(self._resting):
                plug = self._plugged.find(mac)
                if plug is not None and self._there(mac):
                    self._bring(plug, old=_NOTHING)
                self._resting.discard(mac)

    # -- reads -----------------------------------------------------------------------------

    @property
    def plugged(self) -> Plugged:
        """What is plugged; a frozen value."""
        return self._plugged

    def interface_of(self, address: IPAddress) -> str:
        """The name of the interface that has `address` now. Raises NoSuchAddress."""
        holder = self._ports.holder(address)
        if holder is None:
            raise NoSuchAddress("Error interface not found for IP address")
        return holder.name

    def interface_towards(self, address: IPAddress) -> str:
        """The name of the plugged interface whose subnet has `address`. Raises NoSuchInterface."""
        for plug in self._plugged.plugs:
            if any(address in home.subnet for home in (*plug.vips, *plug.fixed_ips)):
                return plug.name
        raise NoSuchInterface("No suitable network interface found")

    def holds(self, address: IPAddress) -> bool:
        """Whether an interface of the node has `address` now."""
        return self._ports.holder(address) is not None

    def interfaces(self) -> dict[str, Link]:
        """Every interface but the loopback, by its name, with its counters."""
        return self._ports.all()

    def announce(self, addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
        """Tell the neighbours where `addresses` are; gives those that are here and were told."""
        return self._ports.announce(addresses)

    # -- the story of a plug -----------------------------------------------------------------

    def _may_listen(self, topology: str) -> None:
        """Where two share addresses, HAProxy must start without having them."""
        if topology == ACTIVE_STANDBY:
            self._ports.let_listen_anywhere()

    def _find_missing(self, level: int) -> None:
        missing = []
        for mac in self._missing:
            plug = self._plugged.find(mac)
            try:
                if plug is not None:
                    self._bring(plug, old=_NOTHING)
            except NetworkError as error:
                LOG.log(level, "the interface %s is not plugged (yet): %s", mac, error)
                missing.append(mac)
        self._missing = tuple(missing)

    def _plug(self, plug: Plug, *, old: Plug | None) -> str:
        port = self._ports.find(plug.mac)
        name = port.link.name if port.inside else self._free_name(first=1 if plug.vips else 2)
        plug = replace(plug, name=name)
        before = self._plugged
        old_layout = layout(old, before.topology) if old else _NOTHING
        self._keep(replace(before, plugs=before.plugs_with(plug)))
        try:
            self._bring(plug, old=old_layout)
        except NetworkError:
            new_layout = layout(plug, before.topology)
            try:
                self._ports.put_back(port, laid_out=new_layout, before=old_layout)
            except NetworkError as error:
                # The caller's own error says more; this one goes to whoever reads the log.
                LOG.critical("%s could not be put back: %s", name, error)
            self._keep(before)
            raise
        return name

    def _bring(self, plug: Plug, *, old: Layout, topology: str | None = None) -> None:
        """Make the interface be as `plug` says; `topology` is the node's own where it is None."""
        self._ports.bring(plug, old=old, new=layout(plug, topology or self._plugged.topology))

    def _there(self, mac: str) -> bool:
        try:
            self._ports.find(mac)
        except NoSuchInterface:
            return False
        return True

    def _free_name(self, *, first: int) -> str:
        """The name that an interface gets inside: eth1 carries the load balancer's addresses."""
        taken = {*self.interfaces(), *(plug.name for plug in self._plugged.plugs)}
        return next(name for number in count(first) if (name := f"eth{number}") not in taken)

    def _keep(self, plugged: Plugged) -> None:
        self._store.save(plugged)
        self._plugged = plugged
