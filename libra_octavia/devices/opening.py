"""Puts the devices of the settings together: the one place that knows all their parts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from libra_common.settings import Settings
from libra_octavia.clients import open_pool
from libra_octavia.devices.api import Apis
from libra_octavia.devices.building import AgentFacts, Builder
from libra_octavia.devices.certificates import Certificates
from libra_octavia.devices.floating import Floating
from libra_octavia.devices.plugging import Plugging
from libra_octavia.devices.pushing import Pusher
from libra_octavia.devices.pushing_lvs import LvsPusher
from libra_octavia.devices.serve import PoolDevices
from libra_octavia.devices.upkeep import Upkeep
from libra_octavia.inventory import Addresses, Database, Devices, Intents, Leases, Ports


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What serving and upkeep share: one authority, and one set of connections to devices."""

    settings: Settings
    database: Database
    devices: Devices
    leases: Leases
    certificates: Certificates
    builder: Builder
    plugging: Plugging
    floating: Floating


def open_parts(settings: Settings, database: Database) -> Parts:
    """The parts of the settings; nobody is asked before they are used. Raises SettingsError."""
    ours = settings.octavia
    pool, devices = open_pool(settings), Devices(database)
    certificates = open_certificates(settings, devices)
    builder = Builder(
        devices=devices,
        pool=pool,
        apis=open_apis(settings, certificates),
        certificates=certificates,
        facts=_facts(settings),
        boot=ours.device_boot_timeout,
    )
    return Parts(
        settings=settings,
        database=database,
        devices=devices,
        leases=Leases(database, seconds=ours.lease),
        certificates=certificates,
        builder=builder,
        plugging=Plugging(ports=Ports(database), pool=pool, security_groups=ours.security_groups),
        floating=Floating(addresses=Addresses(database), pool=pool),
    )


def open_devices(parts: Parts) -> PoolDevices:
    """The devices of these parts."""
    return PoolDevices(
        devices=parts.devices,
        leases=parts.leases,
        builder=parts.builder,
        plugging=parts.plugging,
        pusher=Pusher(seconds=parts.settings.octavia.device_timeout),
        lvs=LvsPusher(seconds=parts.settings.octavia.device_timeout),
        floating=parts.floating,
    )


def open_upkeep(parts: Parts, *, exists: Callable[[str], bool]) -> Upkeep:
    """The upkeep of these devices; `exists` asks Octavia for a load balancer."""
    return Upkeep(
        devices=parts.devices,
        ports=Ports(parts.database),
        addresses=Addresses(parts.database),
        intents=Intents(parts.database),
        leases=parts.leases,
        builder=parts.builder,
        plugging=parts.plugging,
        certificates=parts.certificates,
        floating=parts.floating,
        exists=exists,
        # One is made before Octavia commits its load balancer, or does not.
        orphaned=2 * parts.settings.octavia.commit_timeout + 10,
    )


def open_certificates(settings: Settings, devices: Devices) -> Certificates:
    """The authority of the settings; it is made at its first use."""
    ours = settings.octavia
    return Certificates(folder=ours.ca_dir, days=ours.certificate_days, devices=devices)


def open_apis(settings: Settings, certificates: Certificates) -> Apis:
    """The APIs of all devices that believe these certificates."""
    ours = settings.octavia
    return Apis(
        context=certificates.context,
        port=ours.device_port,
        connect_timeout=ours.device_connect_timeout,
        timeout=ours.device_timeout,
    )


def _facts(settings: Settings) -> AgentFacts:
    ours = settings.octavia
    return AgentFacts(
        port=ours.device_port,
        # Without one nobody listens: what is signed with this goes nowhere.
        heartbeat_key=ours.heartbeat_key or secrets.token_urlsafe(32),
        controllers=tuple(map(str, ours.heartbeat_controllers)) if ours.heartbeat_key else (),
    )
