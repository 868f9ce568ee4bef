"""Who trusts whom: the authority of devices and agents, and the certificates that it makes.

A device's certificate names it alone, and calls nobody; an agent's calls and serves nobody. So a
device that was broken into can play no other device and no controller.
"""

from __future__ import annotations

import datetime
import fcntl
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from libra_common import durable
from libra_common.authority import Authority, AuthorityError, Usage
from libra_octavia.agent.devices import DeviceAway
from libra_octavia.inventory import Certificate, Device, Devices

_NAME = "libra_octavia"
_FILE = "libra_octavia.pem"
_CLIENT_DAYS = 365.0
_SHARE = 3
"""A certificate is replaced when one part of so many of its time is left."""


class Certificates:
    """The authority in `folder`, made at the first use; certificates of devices last `days`.

    Every method raises DeviceAway where the authority cannot be used.
    """

    def __init__(
        self,
        *,
        folder: Path,
        days: float,
        devices: Devices,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._folder = folder
        self._days = days
        self._devices = devices
        self._now = now
        self._lock = threading.Lock()
        self._authority: Authority | None = None
        self._context: ssl.SSLContext | None = None
        self._renew_at = now()

    @property
    def margin(self) -> float:
        """Seconds before a device's certificate ends at which it gets another."""
        return self._days * 86400 / _SHARE

    def authorities(self) -> str:
        """What a device trusts, PEM."""
        with self._lock:
            return self._opened().certificate

    def context(self) -> ssl.SSLContext:
        """An agent's TLS: it trusts devices of this authority, and shows what they trust."""
        with self._lock:
            if self._context is None or self._now() >= self._renew_at:
                self._context = self._made()
            return self._context

    def issue(self, device: Device) -> str:
        """Make a certificate and key for a device that is to be built, and note it; PEM."""
        pem, certificate = self._made_for(device)
        self._devices.issued(certificate)
        return pem

    def renew(self, device: Device, send: Callable[[str], None]) -> None:
        """Make another for a device, `send` it (PEM), and note it once the device has it."""
        pem, certificate = self._made_for(device)
        send(pem)
        self._devices.issued(certificate)

    def _made_for(self, device: Device) -> tuple[str, Certificate]:
        assert device.amphora_id is not None  # noqa: S101 - who asks has given it one
        with self._lock:
            authority = self._opened()
        try:
            made = authority.issue(
                name=device.amphora_id,
                dns=(device.amphora_id,),
                usage=Usage.SERVER,
                days=self._days,
            )
        except AuthorityError as error:
            raise DeviceAway(str(error)) from error
        certificate = Certificate(
            serial=made.serial,
            device=device.name,
            reference=str(authority.folder / "issued" / f"{made.serial}.pem"),
            not_after=made.not_after.timestamp(),
        )
        return made.certificate + made.key, certificate

    def _opened(self) -> Authority:
        if self._authority is None:
            try:
                self._authority = _opened(self._folder)
            except AuthorityError as error:
                raise DeviceAway(str(error)) from error
        return self._authority

    def _made(self) -> ssl.SSLContext:
        authority = self._opened()
        path = self._folder / _FILE
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cadata=authority.certificate)
            # OpenSSL reads the file twice, and other agents of this machine have the same one.
            with _alone(path.with_suffix(".lock")):
                ends = self._own_certificate(path, authority)
                context.load_cert_chain(path)
        except (AuthorityError, OSError) as error:
            raise DeviceAway(f"the agent's own certificate {path}: {error}") from error
        self._renew_at = self._now() + (ends - self._now()) / 2
        return context

    def _own_certificate(self, path: Path, authority: Authority) -> datetime.datetime:
        """Have an agent's certificate in a file that lasts for long; returns when it ends."""
        ends = _ends(path, authority)
        wanted = datetime.timedelta(days=_CLIENT_DAYS / _SHARE)
        if ends is not None and ends - self._now() >= min(
            wanted, authority.not_after - self._now()
        ):
            return ends
        made = authority.issue(name=_NAME, usage=Usage.CLIENT, days=_CLIENT_DAYS)
        durable.replace(path, (made.certificate + made.key).encode(), mode=0o600)
        return made.not_after


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _opened(folder: Path) -> Authority:
    if not (folder / "ca.pem").exists():
        try:
            return Authority.create(folder, name="Libra's devices")
        except AuthorityError:
            # Another agent was faster, or the next line says what is wrong.
            pass
    return Authority.open(folder)


def _ends(path: Path, authority: Authority) -> datetime.datetime | None:
    """When the certificate of a file ends; None where it cannot be used."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
        found.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, another is made
        return None
    return found.not_valid_after_utc
