"""What can go wrong on the way from Octavia's API to a device."""

from __future__ import annotations

from libra_common.errors import LibraError


class OctaviaError(LibraError):
    """The root of this package's errors."""

    code = "octavia_error"


class InventoryAway(OctaviaError):
    """The inventory's database cannot be read or written; nothing of the call was recorded."""

    code = "inventory_unavailable"


class LeaseLost(OctaviaError):
    """Somebody else holds the load balancer now; whatever was under way must not be completed."""

    code = "lease_lost"


class Untranslatable(OctaviaError):
    """Octavia's objects ask for what cannot be rendered; the text names the object and field."""

    code = "unsupported"
