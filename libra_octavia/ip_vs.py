"""Whether UDP and SCTP are taken: they need IP_VS in the kernel of a load balancer's device. Pure.

The driver cannot see a device, which there may be none of yet. So the operator says whether the
images of this cloud have it, and what is asked for is refused before anything is stored where they
do not. What was taken before is served on; a device that cannot do it says so itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from libra_common.settings import Settings
from libra_octavia.devices.floating import FLOATING
from libra_octavia.model import Listener, LoadBalancer, Monitor, Pool
from libra_octavia.objects import Fault, Unsupported

NO_IP_VS = (
    "needs IP_VS in the kernel of the load balancer's device, which the devices of this cloud do"
    " not have"
)
NOT_FLOATING = "needs an address of Octavia's own, and those of this cloud are floating IPs"


def why_not(settings: Settings) -> str | None:
    """Why neither UDP nor SCTP is taken; None where both are."""
    if not settings.octavia.ip_vs:
        return NO_IP_VS
    # IP_VS has no "whatever address the device has", by which HAProxy listens there.
    return NOT_FLOATING if settings.octavia.vip == FLOATING else None


def refuse(found: object, why: str) -> None:
    """Raise Unsupported for an object that needs IP_VS, or that has one inside."""
    faults = tuple(Fault(field, f"{value!r} {why}") for field, value in _needing(found))
    if faults:
        raise Unsupported(type(found).__name__, faults)


def needs(found: object) -> bool:
    """Whether an object needs IP_VS, or has one inside that does."""
    return any(_needing(found))


def _needing(found: object) -> Iterator[tuple[str, str]]:
    """The fields that need it, with what they hold."""
    match found:
        case Listener() | Pool() if found.protocol.by_kernel:
            yield "protocol", found.protocol.value
        case Monitor() if found.type.by_kernel:
            yield "type", found.type.value
        case LoadBalancer():
            for kind, many in (("listener", found.listeners), ("pool", found.pools)):
                for one in many:
                    for field, value in _needing(one):
                        yield f"{kind} {one.id}: {field}", value
