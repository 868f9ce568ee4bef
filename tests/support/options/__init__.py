"""Every option of Octavia's objects: what shows in traffic that it is served, what is refused.

`OPTIONS` holds them all, in the order of the objects. Tests prove each on every stage, and the
pages docs/octavia-options.md and docs/octavia-features are made from them.
"""

from __future__ import annotations

from tests.support.options import (  # noqa: F401 - each registers its own
    balancers,
    listeners,
    members,
    monitors,
    policies,
    pools,
    reencryption,
    rules,
    tls,
)
from tests.support.options.registry import OPTIONS, Option, Refusal

__all__ = ["OPTIONS", "Option", "Refusal"]
