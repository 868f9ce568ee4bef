"""What all driver objects of a process share: Octavia's API makes one for every request."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from libra_common.settings import Settings, load
from libra_octavia import PROG, ip_vs
from libra_octavia.clients import job_client, open_pool
from libra_octavia.devices.floating import FLOATING, Floating
from libra_octavia.inventory import Addresses, Database, Intents
from libra_octavia.vip import SECONDS
from libra_octavia.waker import Waker

CONFIG_VARIABLE = "LIBRA_CONFIG_FILE"
"""Names the settings file of the driver, which has no command line; else /etc/libra.cfg."""


@dataclass(frozen=True)
class Shared:
    """Where the driver records what is asked for, and whom it tells.

    `make_address` gives the floating IP of a load balancer; None where addresses are Octavia's.
    `no_ip_vs` is why neither UDP nor SCTP is taken, None where both are.
    """

    intents: Intents
    waker: Waker
    make_address: Callable[[str], str] | None = None
    no_ip_vs: str | None = None


def settings_of_environment() -> Settings:
    """The settings of a process that Octavia started. Raises SettingsError."""
    named = os.environ.get(CONFIG_VARIABLE)
    return load(["--config-file", named] if named else [], prog=PROG)


@functools.cache
def shared() -> Shared:
    """What this process has; nothing is opened before its first use. Raises SettingsError."""
    settings = settings_of_environment()
    database = Database(settings.octavia.inventory)
    return Shared(
        intents=Intents(database),
        waker=Waker(job_client(settings)),
        make_address=_maker(settings, database),
        no_ip_vs=ip_vs.why_not(settings),
    )


def _maker(settings: Settings, database: Database) -> Callable[[str], str] | None:
    if settings.octavia.vip != FLOATING:
        return None
    floating = Floating(addresses=Addresses(database), pool=open_pool(settings))
    return functools.partial(floating.make, timeout=SECONDS)
