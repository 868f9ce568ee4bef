"""Devices and floating IPs on this machine, for quick starts, laptops and tests.

A device is a network namespace with its own libra_worker, keeper and HAProxy; a floating IP is an
address routed into it. All of them hang on one bridge inside one outer network namespace, so that
the host's network is not touched at all: no link, no route, no rule, no mount.

    host's namespace         outer namespace                a device's namespace

    libra_pool_mgm           bridge libra0                  eth0 198.18.0.2
    gearmand <----------+    198.18.0.1  <-- veth -------->  lo  203.0.113.1 (a floating IP)
                        |    route 203.0.113.1              worker, keeper, HAProxy
                        |       via 198.18.0.2                 |
                        +---- the device's guard <-------------+  127.0.0.1:4730

Every namespace is held by a process alone. The *guard* of a device (`guard`) has one foot in the
device and one on the host: it carries the worker's connections to gearmand, and is what the kernel
keeps the namespace for. The *init* of a device (`init`) is process 1 of the device's own process
ids: it keeps the worker running, and when it ends the kernel ends all that runs in the device. The
*holder* (`holder`) is there for the outer namespace. Which of them live is asked of the kernel, by
the locks that they hold for life; so all survive the pool manager, and are found again by the next.

The package imports nothing here, since guard, init and holder are small for having the standard
library alone. `make_cloud` is the way in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libra_common.settings import Settings
    from libra_pool_mgm.clouds.base import Cloud


def make_cloud(settings: Settings) -> Cloud:
    """Make the cloud that the settings describe; `check` is the first to touch anything.

    Raises BadRequest for settings that do not go together.
    """
    from libra_pool_mgm.clouds.local.opening import local_cloud

    return local_cloud(settings)
