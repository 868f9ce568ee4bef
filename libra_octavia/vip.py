"""The address of a load balancer where it is a floating IP of the pool manager's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libra_octavia.objects import Fault, Unsupported

SECONDS = 10.0
"""How long Octavia's API may be kept waiting for an address; it waits for nothing else of ours."""


def floating_vip(
    load_balancer_id: str,
    vip: Mapping[str, Any],
    additional: Sequence[Any],
    *,
    make: Callable[[str], str],
) -> dict[str, Any]:
    """Give the VIP as Octavia is to keep it, with the address that `make` gives.

    `vip` is what was asked for, in the words of the provider driver guide. Raises Unsupported for
    an address that somebody chose, as the pool manager gives what it has, and for further ones.
    """
    faults = []
    if vip.get("vip_address"):
        faults.append(Fault("vip_address", "cannot be chosen: it is a floating IP of a pool"))
    if additional:
        faults.append(Fault("additional_vips", "are not supported where VIPs are floating IPs"))
    if faults:
        raise Unsupported(f"load balancer {load_balancer_id}", tuple(faults))
    return {**vip, "vip_address": make(load_balancer_id)}
