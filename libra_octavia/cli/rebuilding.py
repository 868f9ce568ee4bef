"""libra octavia rebuild: an inventory that was lost, from all who remember a part of it."""

from __future__ import annotations

import argparse
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict

from libra_client.cli import options, output
from libra_client.cli.exits import Exit
from libra_common.errors import SettingsError
from libra_common.settings import Settings
from libra_octavia.agent.devices import DeviceAway
from libra_octavia.agent.octavia import Octavia, library
from libra_octavia.cli.syncing import hint
from libra_octavia.clients import open_pool
from libra_octavia.devices.floating import FLOATING
from libra_octavia.devices.opening import open_apis, open_certificates
from libra_octavia.inventory import Certificate, Database, Devices
from libra_octavia.rebuild import Fate, Rebuilder


def rebuild(asked: argparse.Namespace) -> Exit:
    """Do it, and say what was found."""
    settings = options.settings(asked)
    findings = make_rebuilder(settings).rebuild()
    added = sum(one.fate is Fate.ADDED for one in findings)
    if added:
        hint(settings)
    if options.wants_json(asked):
        output.show_json([asdict(one) for one in findings])
        return Exit.OK
    output.show_table(
        ("device", "load balancer", "found", "why"),
        ((one.name, one.load_balancer_id, str(one.fate), one.why or None) for one in findings),
    )
    output.say(f"{added} device(s) added; their load balancers are compared with Octavia now")
    if any(one.fate in (Fate.IDLE, Fate.LOST) for one in findings):
        output.say("What serves nobody may be deleted: libra pool delete NAME")
    return Exit.OK


def make_rebuilder(settings: Settings) -> Rebuilder:
    """Put it together. Raises SettingsError where devices could not be reached in any case."""
    ours = settings.octavia
    if not (ours.ca_dir / "ca.pem").exists():
        raise SettingsError(
            f"[octavia] ca_dir = {str(ours.ca_dir)!r}: has no authority (ca.pem), and devices"
            " believe no other than the one that they were built with"
        )
    database = Database(ours.inventory)
    certificates = open_certificates(settings, Devices(database))
    apis = open_apis(settings, certificates)

    def certificate(amphora: str, name: str, address: str) -> Certificate:
        serial, not_after = shown(
            certificates.context,
            amphora,
            (address, ours.device_port),
            seconds=ours.device_connect_timeout,
        )
        file = ours.ca_dir / "issued" / f"{serial}.pem"
        return Certificate(serial=serial, device=name, reference=str(file), not_after=not_after)

    return Rebuilder(
        database=database,
        pool=open_pool(settings),
        octavia=Octavia(lambda: library(ours.driver_agent_sockets)),
        # A question needs no right to change anything.
        standing=lambda amphora, address: apis.of(amphora, address, fence=0).standing(),
        certificate=certificate,
        floating=ours.vip == FLOATING,
    )


def shown(
    context: Callable[[], ssl.SSLContext],
    amphora_id: str,
    address: tuple[str, int],
    *,
    seconds: float,
) -> tuple[str, float]:
    """The serial number of the certificate that a device shows, and when it ends.

    Raises DeviceAway.
    """
    try:
        with (
            socket.create_connection(address, seconds) as plain,
            context().wrap_socket(plain, server_hostname=amphora_id) as secure,
        ):
            found = secure.getpeercert() or {}
        ends = ssl.cert_time_to_seconds(str(found["notAfter"]))
        return f"{int(str(found['serialNumber']), 16):x}", float(ends)
    except (OSError, KeyError, ValueError) as error:
        raise DeviceAway(f"device {amphora_id} at {address[0]}: {error}") from error
