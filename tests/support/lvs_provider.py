"""What the provider makes of a tree with UDP and SCTP listeners, sent to a real device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libra_octavia.devices.api import Api, Apis
from libra_octavia.devices.pushing import Configured, Pusher
from libra_octavia.devices.pushing_lvs import LvsPusher
from libra_octavia.render import Place as HaproxyPlace
from libra_octavia.render import render
from libra_octavia.render_lvs import render_lvs
from libra_octavia.translate import translate
from tests.support.amphora import Amphora
from tests.support.octavia_trees import tree


class Provider:
    """The provider's side of one load balancer on one device."""

    def __init__(self, agent: Amphora, balancer: str, *addresses: str) -> None:
        self._agent = agent
        self._balancer = balancer
        self._addresses = addresses
        self.api = api_of(agent)

    def serve(
        self, listeners: list[dict[str, Any]], pools: list[dict[str, Any]]
    ) -> Mapping[str, str]:
        """Have just this served; returns as the provider does, with the reasons of the refused."""
        first, *others = self._addresses
        found = translate(
            tree(
                listeners,
                pools,
                loadbalancer_id=self._balancer,
                vip_address=first,
                additional_vips=[{"ip_address": one, "subnet_id": None} for one in others],
            )
        )
        there = self.api.present(found.id)
        wanted = Configured(
            balancer=found.id,
            amphora_id=self._agent.id,
            text=render(found, HaproxyPlace(maxconn=100)),
            listeners=[one.id for one, _ in found.by_haproxy],
        )
        if not wanted.is_served(there.configuration):
            Pusher(seconds=60).push(wanted, there.configuration, self.api)
        pusher = LvsPusher(seconds=60)
        change = pusher.change(render_lvs(found), there.by_kernel, self.api)
        return pusher.push(change, self._agent.id, self.api)


def api_of(agent: Amphora) -> Api:
    """The provider's client of a device's API."""
    apis = Apis(context=agent.context, port=agent.port, connect_timeout=10, timeout=60)
    return apis.of(agent.id, "127.0.0.1", fence=1)
