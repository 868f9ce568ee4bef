"""Octavia's objects, one module a kind: read, checked and turned into the typed model.

The driver reads what the API hands it, and refuses what cannot be read; the agent reads the tree.
So what was accepted can be rendered.
"""

from __future__ import annotations

from libra_octavia.objects.fields import Fault, Fields, Unsupported
from libra_octavia.objects.listener import read_listener
from libra_octavia.objects.load_balancer import read_vip
from libra_octavia.objects.member import read_member
from libra_octavia.objects.monitor import read_monitor
from libra_octavia.objects.policy import read_policy
from libra_octavia.objects.pool import read_pool
from libra_octavia.objects.rule import read_rule

__all__ = [
    "Fault",
    "Fields",
    "Unsupported",
    "read_listener",
    "read_member",
    "read_monitor",
    "read_policy",
    "read_pool",
    "read_rule",
    "read_vip",
]
