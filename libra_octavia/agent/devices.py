"""What the agent asks of the devices that serve. Whoever brings them implements `Devices`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from libra_octavia.errors import OctaviaError
from libra_octavia.model import LoadBalancer


class DeviceAway(OctaviaError):
    """No device could be built, reached or asked; it may be tried again later."""

    code = "device_unavailable"


class DeviceRefused(OctaviaError):
    """A device refuses what it is asked, and would again; the text holds its reason."""

    code = "device_refused"


class ListenersRefused(DeviceRefused):
    """Devices serve all that is wanted but some listeners; `reasons` are by those's ids."""

    code = "listeners_refused"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"listener {name}: {why}" for name, why in reasons.items()))
        self.reasons = reasons


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of the devices of one load balancer.

    `flavor` and `zone` hold what the operator gave them, by the keys that the driver offers;
    `vip` the fields of the VIP's port as Octavia's tree has them.
    """

    balancer: LoadBalancer
    flavor: Mapping[str, Any]
    zone: Mapping[str, Any]
    vip: Mapping[str, Any]


class Devices(Protocol):
    """The devices of load balancers. All methods may be called again, and from several threads.

    Each takes the `fence` of the caller's lease: a device refuses one that is lower than what it
    has seen. All raise DeviceAway and DeviceRefused; the first two ListenersRefused where only
    some listeners cannot be served.
    """

    def serve(self, wanted: Wanted, *, fence: int) -> None:
        """Have devices serve exactly this; returns once that was seen to be in force there."""

    def replace(self, wanted: Wanted, *, fence: int) -> None:
        """The same, by other devices than those that serve now."""

    def remove(self, load_balancer_id: str, *, fence: int) -> None:
        """Take the devices of a load balancer away; none there is no fault."""
