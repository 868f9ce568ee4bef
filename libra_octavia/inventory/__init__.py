"""What Libra knows of Octavia's load balancers and Octavia does not: intents, leases, devices.

One `Database`, and a view of it for each idea; `migrate` builds its tables or brings them up to
date.
"""

from __future__ import annotations

from libra_octavia.inventory.addresses import Addresses
from libra_octavia.inventory.database import Database
from libra_octavia.inventory.devices import Certificate, Device, Devices
from libra_octavia.inventory.intents import Intent, Intents, Kind, Operation, Wish
from libra_octavia.inventory.leases import Lease, Leases
from libra_octavia.inventory.migrate import migrate
from libra_octavia.inventory.ports import Port, Ports
from libra_octavia.inventory.totals import Counts, Totals

__all__ = [
    "Addresses",
    "Certificate",
    "Counts",
    "Database",
    "Device",
    "Devices",
    "Intent",
    "Intents",
    "Kind",
    "Lease",
    "Leases",
    "Operation",
    "Port",
    "Ports",
    "Totals",
    "Wish",
    "migrate",
]
