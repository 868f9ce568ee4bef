"""The devices that serve load balancers: from the pool manager, driven by the amphora API.

`serve` is the story of one load balancer; `building`, `plugging` and `pushing` are its chapters.
`pool` and `api` speak to the pool manager and to a device, `certificates` says who trusts whom,
`upkeep` does what nobody asks for. `wishes` is pure.

Each load balancer has one device (topology SINGLE). Where there are to be two, or spare ones, they
are further rows of the inventory: `serve.PoolDevices` alone says which of them do what.
"""

from __future__ import annotations

from libra_octavia.devices.opening import open_devices, open_upkeep
from libra_octavia.devices.serve import PoolDevices
from libra_octavia.devices.upkeep import Upkeep

__all__ = ["PoolDevices", "Upkeep", "open_devices", "open_upkeep"]
