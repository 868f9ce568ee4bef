"""Puts the devices of the settings together: the one place that knows all their parts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from libra_common.settings import Settings
from libra_octavia.devices.api import Apis
from libra_octavia.devices.building import AgentFacts, Builder
from libra_octavia.devices.certificates import Certificates
from libra_octavia.devices.floating import Floating
from libra_octavia.devices.plugging import Plugging
from libra_octavia.devices.pool import Pool
from libra_octavia.devices.pushing import Pusher
from libra_octavia.devices.pushing_lvs import LvsPusher
from libra_octavia.devices.serve import PoolDevices
from libra_octavia.devices.upkeep import Upkeep
from libra_octavia.inventory import Addresses, Database, Devices, Intents, Leases, Ports
from libra_octavia.shared import job_client


def open_pool(settings: Settings) -> Pool:
    """The pool manager of the settings. Raises SettingsError."""
    ours = settings.octavia
    return Pool(
        client=job_client(settings),
        function=ours.pool_function,
        build_timeout=ours.pool_build_timeout,
        timeout=ours.pool_timeout,
    )


def open_devices(settings: Settings, database: Database) -> PoolDevices:
    """The devices of the settings; nobody is asked before they are used. Raises SettingsError."""
    parts = _parts(settings, database)
    return PoolDevices(
        devices=parts.devices,
        leases=parts.leases,
        builder=parts.builder,
        plugging=parts.plugging,
        pusher=Pusher(seconds=settings.octavia.device_timeout),
        lvs=LvsPusher(seconds=settings.octavia.device_timeout),
        floating=parts.floating,
    )


def open_upkeep(settings: Settings, database: Database, *, exists: Callable[[str], bool]) -> Upkeep:
    """The upkeep of these devices; `exists` asks Octavia for a load balancer."""
    parts = _parts(settings, database)
    return Upkeep(
        devices=parts.devices,
        ports=Ports(database),
        addresses=Addresses(database),
        intents=Intents(database),
        leases=parts.leases,
        builder=parts.builder,
        plugging=parts.plugging,
        certificates=parts.certificates,
        floating=parts.floating,
        exists=exists,
        # One is made before Octavia commits its load balancer, or does not.
        orphaned=2 * settings.octavia.commit_timeout + 10,
    )


@dataclass(frozen=True)
class _Parts:
    devices: Devices
    leases: Leases
    certificates: Certificates
    builder: Builder
    plugging: Plugging
    floating: Floating


def _parts(settings: Settings, database: Database) -> _Parts:
    ours = settings.octavia
    pool, devices = open_pool(settings), Devices(database)
    certificates = Certificates(folder=ours.ca_dir, days=ours.certificate_days, devices=devices)
    apis = Apis(
        context=certificates.context,
        port=ours.device_port,
        connect_timeout=ours.device_connect_timeout,
        timeout=ours.device_timeout,
    )
    builder = Builder(
        devices=devices,
        pool=pool,
        apis=apis,
        certificates=certificates,
        facts=_facts(settings),
        boot=ours.device_boot_timeout,
    )
    return _Parts(
        devices=devices,
        leases=Leases(database, seconds=ours.lease),
        certificates=certificates,
        builder=builder,
        plugging=Plugging(ports=Ports(database), pool=pool, security_groups=ours.security_groups),
        floating=Floating(addresses=Addresses(database), pool=pool),
    )


def _facts(settings: Settings) -> AgentFacts:
    ours = settings.octavia
    return AgentFacts(
        port=ours.device_port,
        # Without one nobody listens: what is signed with this goes nowhere.
        heartbeat_key=ours.heartbeat_key or secrets.token_urlsafe(32),
        controllers=tuple(map(str, ours.heartbeat_controllers)) if ours.heartbeat_key else (),
    )
