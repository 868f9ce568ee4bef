"""The story of one load balancer: a device, its ports, its configuration; another one; none.

Level-triggered: each call compares what there is with what is wanted and does what is missing, so
it may be made again after anything. One that finds all as it should be costs a single request.

A device that is `building` becomes `ready` once it serves, in one transaction in which those that
served before become `leaving`; what is `leaving` or `failed` never serves again and is taken away,
now or by the upkeep.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from libra_common.crash import crash_point
from libra_octavia.agent.devices import DeviceAway, DeviceRefused, ListenersRefused, Wanted
from libra_octavia.devices.building import Builder
from libra_octavia.devices.floating import Floating
from libra_octavia.devices.plugging import Plugging
from libra_octavia.devices.pushing import Configured, Pusher
from libra_octavia.devices.pushing_lvs import LvsPusher
from libra_octavia.devices.wishes import PortWish, port_wishes, text_of
from libra_octavia.files import files
from libra_octavia.inventory import Device, Devices, Leases
from libra_octavia.inventory.devices import BUILDING, LEAVING, READY
from libra_octavia.ip_vs import NOT_FLOATING
from libra_octavia.render_lvs import render_lvs

LOG = logging.getLogger(__name__)


class PoolDevices:
    """Devices of the pool manager, as `libra_octavia.agent.devices.Devices` wants them.

    `floating` knows whose addresses come from the pool manager; all others' are Octavia's.
    """

    def __init__(
        self,
        *,
        devices: Devices,
        leases: Leases,
        builder: Builder,
        plugging: Plugging,
        pusher: Pusher,
        lvs: LvsPusher,
        floating: Floating,
    ) -> None:
        self._devices = devices
        self._leases = leases
        self._builder = builder
        self._plugging = plugging
        self._pusher = pusher
        self._lvs = lvs
        self._floating = floating

    # -- what the agent asks for -------------------------------------------------------------

    def serve(self, wanted: Wanted, *, fence: int) -> None:
        """Have one device serve exactly this; one that is lost is replaced by a new one."""
        name = wanted.balancer.id
        device = self._serving(name) or self._begun(name)
        if device is not None and device.state == READY:
            try:
                reasons = self._served_by(device, wanted, fence)
            except DeviceAway as error:
                if not self._builder.is_gone(device):
                    raise
                LOG.warning("device %s is lost, another is built: %s", device.name, error)
                reasons = self._replaced(wanted, fence)
        else:
            _, reasons = self._built(device or self._begin(name, fence), wanted, fence)
        self._clear(name)
        if reasons:
            raise ListenersRefused(reasons)

    def replace(self, wanted: Wanted, *, fence: int) -> None:
        """Have another device serve this than the one that does now."""
        name = wanted.balancer.id
        if self._left(name) and self._serving(name):
            # An earlier try came as far as that; only its end was not seen.
            self.serve(wanted, fence=fence)
            self._clear(name, strictly=True)
        elif reasons := self._replaced(wanted, fence):
            raise ListenersRefused(reasons)

    def remove(self, load_balancer_id: str, *, fence: int) -> None:
        """Take all devices and the floating address of a load balancer away."""
        for device in self._devices.of(load_balancer_id):
            self._must_be_ours(load_balancer_id, fence)
            self._floating.leave(load_balancer_id, device)
            self._builder.take_away(device)
        self._floating.give_back(load_balancer_id)

    # -- a device ----------------------------------------------------------------------------

    def _built(
        self, device: Device, wanted: Wanted, fence: int
    ) -> tuple[Device, Mapping[str, str]]:
        """Have a device that was begun serve, and from then on be the one that does."""
        self._must_be_ours(wanted.balancer.id, fence)
        device = self._builder.finish(device, wanted, fence=fence)
        reasons = self._served_by(device, wanted, fence)
        self._devices.take_over(device)
        crash_point("octavia_taken_over")
        return replace(device, state=READY), reasons

    def _replaced(self, wanted: Wanted, fence: int) -> Mapping[str, str]:
        name = wanted.balancer.id
        begun = self._begun(name) or self._begin(name, fence)
        device, reasons = self._built(begun, wanted, fence)
        self._clear(name, strictly=True)
        # While both were there, whoever asked who has the address may have heard the old one.
        self._must_be_ours(name, fence)
        self._plugging.announce(device, self._ports(wanted))
        api = self._builder.api(device, fence=fence)
        if wanted.balancer.by_haproxy:
            api.act(name, "start")
        for listener, _ in wanted.balancer.by_kernel:
            if listener.id not in reasons:
                api.act(listener.id, "start")
        return reasons

    def _served_by(self, device: Device, wanted: Wanted, fence: int) -> Mapping[str, str]:
        """Have a device that answers serve exactly this; returns once that was seen.

        What is returned are reasons, by their ids, for which it cannot serve some listeners.
        """
        api = self._builder.api(device, fence=fence)
        ports, configured = self._ports(wanted), self._configured(device, wanted)
        found = api.present(wanted.balancer.id)
        served = configured.is_served(found.configuration)
        texts, reasons = self._by_kernel(wanted)
        change = self._lvs.change(texts, found.by_kernel, api)
        if change or not (served and self._plugging.settled(device, ports)):
            self._must_be_ours(wanted.balancer.id, fence)
            self._plugging.attach(device, ports, api)
        if not served:
            self._pusher.push(configured, found.configuration, api)
        if change:
            reasons = {**reasons, **self._lvs.push(change, device.amphora_id or "", api)}
        self._plugging.rest(device, ports)
        self._floating.lead(wanted.balancer.id, device)
        return reasons

    def _by_kernel(self, wanted: Wanted) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The texts of listeners of UDP and SCTP, or why there are none of them."""
        texts = render_lvs(wanted.balancer)
        if self._floating.has(wanted.balancer.id):
            return {}, dict.fromkeys(texts, NOT_FLOATING)
        return texts, {}

    def _ports(self, wanted: Wanted) -> Sequence[PortWish]:
        return port_wishes(wanted, floating=self._floating.has(wanted.balancer.id))

    def _configured(self, device: Device, wanted: Wanted) -> Configured:
        sent = files(wanted.balancer)
        amphora_id = device.amphora_id or ""
        floating = self._floating.has(wanted.balancer.id)
        text = text_of(wanted, amphora_id, sent, floating=floating)
        return Configured(
            balancer=wanted.balancer.id,
            amphora_id=amphora_id,
            text=text,
            listeners=[listener.id for listener, _ in wanted.balancer.by_haproxy],
            files=sent,
        )

    # -- which device ------------------------------------------------------------------------

    def _serving(self, name: str) -> Device | None:
        return next((one for one in self._devices.of(name) if one.state == READY), None)

    def _begun(self, name: str) -> Device | None:
        return next((one for one in self._devices.of(name) if one.state == BUILDING), None)

    def _left(self, name: str) -> bool:
        return any(one.state == LEAVING for one in self._devices.of(name))

    def _begin(self, name: str, fence: int) -> Device:
        self._must_be_ours(name, fence)
        return self._builder.begin(name)

    def _clear(self, name: str, *, strictly: bool = False) -> None:
        """Take away what will never serve again.

        What cannot be is left to the upkeep, unless `strictly`.
        """
        devices = self._devices.of(name)
        serves = any(one.state == READY for one in devices)
        for device in devices:
            if device.state == READY or (device.state == BUILDING and not serves):
                continue
            try:
                self._floating.leave(name, device)
                self._builder.take_away(device)
            except (DeviceAway, DeviceRefused) as error:
                if strictly:
                    raise
                LOG.warning("device %s is not gone yet: %s", device.name, error)

    def _must_be_ours(self, name: str, fence: int) -> None:
        """Stop one whose lease another has meanwhile: the pool manager knows no fences."""
        if self._leases.outdated(name, fence):
            raise DeviceRefused(f"the lease with fence {fence} is over")
