"""An authority in its directory: made, opened, asked for certificates."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from libra_common import durable, roles
from libra_common.authority import entries, issuing
from libra_common.authority.checks import address_of, check_days, dns_of, role_of, usage_of
from libra_common.authority.entries import Entry, common_name
from libra_common.authority.errors import AuthorityError, RefusedCertificate, UnknownSerial
from libra_common.authority.files import locked, reasons
from libra_common.authority.issuing import Usage
from libra_common.roles import Identity, Role

CA_DAYS = 3650.0
"""How long an authority is good, unless asked otherwise."""

DAYS = 365.0
"""How long a certificate is good, unless asked otherwise."""

_SCHEMA = 1
_SERIAL = re.compile(r"[0-9a-f]{1,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new certificate with its key, both PEM; `certificate` has the authority's behind it.

    `serial` is in lower case hexadecimal digits. The key is nowhere else: it goes to its holder,
    into a file that only the holder can read.
    """

    serial: str
    certificate: str
    key: str = field(repr=False)
    not_after: datetime.datetime


class Authority:
    """An authority that is there; made by `create` or `open`. Every method may raise
    AuthorityError; any number of threads and processes may use one directory.
    """  # noqa: D205 - one sentence

    def __init__(
        self, *, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> None:
        self.folder = folder
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, folder: Path, *, name: str = "Libra", days: float = CA_DAYS) -> Authority:
        """Make a new authority in a directory, which is made too where it is missing.

        Raises AuthorityError where there already is one: it is never replaced, all certificates
        that it made would be void. Raises RefusedCertificate for a bad `name` or `days`.
        """
        if not name or len(name) > 64 or not name.isprintable():
            raise RefusedCertificate(f"name {name!r}: must be 1 to 64 printable characters")
        check_days(days)
        with reasons(folder, "cannot be made"):
            if not folder.is_dir():
                folder.mkdir(mode=0o755, parents=True)
                durable.sync(folder.parent)
        with locked(folder), reasons(folder, "cannot be written"):
            if (folder / "ca.pem").exists():
                raise AuthorityError(f"{folder}: there is an authority already, it is left alone")
            key = issuing.new_key()
            certificate = issuing.root(key, name=name, now=_now(), days=days)
            made = cls(folder=folder, certificate=certificate, key=key)
            (folder / "issued").mkdir(mode=0o755, exist_ok=True)
            durable.replace(folder / "ca.key", issuing.key_pem(key), mode=0o600)
            made._publish({}, number=1)
            # Last, for this file is what says that there is an authority.
            durable.replace(folder / "ca.pem", issuing.pem(certificate), mode=0o644)
        return made

    @classmethod
    def open(cls, folder: Path) -> Authority:
        """Open an authority; raises AuthorityError where there is none, or it cannot be used."""
        with reasons(folder / "ca.pem", "cannot be read"):
            text = (folder / "ca.pem").read_bytes()
        try:
            certificate = x509.load_pem_x509_certificate(text)
        except ValueError as error:
            raise AuthorityError(f"{folder / 'ca.pem'}: is no certificate: {error}") from None
        path = folder / "ca.key"
        with reasons(path, "cannot be read"):
            text = path.read_bytes()
            mode = path.stat().st_mode
        if mode & 0o077:
            raise AuthorityError(
                f"{path}: others can read it (mode {mode & 0o777:o}); whoever did is an authority"
                " too: make a new one, or chmod 600 if nobody did"
            )
        try:
            key = serialization.load_pem_private_key(text, password=None)
        except (ValueError, TypeError):  # the reason might quote the key
            raise AuthorityError(f"{path}: is no private key without a passphrase") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{path}: is no key on an elliptic curve")
        if key.public_key() != certificate.public_key():
            raise AuthorityError(f"{path}: is not the key of {folder / 'ca.pem'}")
        return cls(folder=folder, certificate=certificate, key=key)

    @property
    def certificate(self) -> str:
        """The authority's own certificate, PEM: what its peers trust."""
        return issuing.pem(self._certificate).decode()

    @property
    def name(self) -> str:
        """What the authority calls itself."""
        return common_name(self._certificate)

    @property
    def not_after(self) -> datetime.datetime:
        """When the authority ends, in UTC, and each certificate that it made."""
        return self._certificate.not_valid_after_utc

    def issue(
        self,
        *,
        name: str,
        role: Role | str | None = None,
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
        days: float = DAYS,
        usage: Usage | str = Usage.CLIENT,
    ) -> Issued:
        """Make a key and a certificate for `name`, which is good for `days` from now.

        It never outlives the authority. With a `role` the gate knows the holder by it; `dns` and
        `addresses` are where a server is found. Raises RefusedCertificate.
        """
        role, usage = role_of(role), usage_of(usage)
        if fault := roles.fault_of(name, role):
            raise RefusedCertificate(f"name {name!r}: {fault}")
        check_days(days)
        if usage is not Usage.CLIENT and not dns and not addresses:
            raise RefusedCertificate(
                f"usage {usage}: a server needs a DNS name or an address, which its clients check"
            )
        if self.not_after <= _now():
            raise AuthorityError(f"{self.folder}: the authority ended on {self.not_after:%Y-%m-%d}")
        key = issuing.new_key()
        made = issuing.leaf(
            issuer=self._certificate,
            signer=self._key,
            public=key.public_key(),
            name=name,
            uri=Identity(role, name).uri if role else None,
            dns=tuple(dict.fromkeys(dns_of(one) for one in dns)),
            addresses=tuple(dict.fromkeys(address_of(one) for one in addresses)),
            usage=usage,
            now=_now(),
            days=days,
        )
        serial = f"{made.serial_number:x}"
        with locked(self.folder), reasons(self.folder / "issued", "cannot be written"):
            durable.replace(self.folder / "issued" / f"{serial}.pem", issuing.pem(made), mode=0o644)
        return Issued(
            serial=serial,
            certificate=issuing.pem(made).decode() + self.certificate,
            key=issuing.key_pem(key).decode(),
            not_after=made.not_valid_after_utc,
        )

    def revoke(self, serial: str) -> None:
        """Say for good that a certificate is no longer to be trusted; twice does no harm.

        It takes effect where the new list (`crl`) is read. Raises UnknownSerial.
        """
        plain = serial.lower().replace(":", "").lstrip("0")
        if not _SERIAL.fullmatch(plain) or not (self.folder / "issued" / f"{plain}.pem").exists():
            raise UnknownSerial(f"{serial!r}: this authority made no certificate of that number")
        with locked(self.folder), reasons(self.folder, "cannot be written"):
            number, revoked = self._revoked()
            # Published again even where it is known: a crash may have kept it from the list.
            self._publish({plain: _now(), **revoked}, number=number + 1)

    def crl(self) -> str:
        """Give the list of revoked certificates, signed, as PEM."""
        with reasons(self.folder / "crl.pem", "cannot be read"):
            return (self.folder / "crl.pem").read_text("ascii")

    def issued(self) -> tuple[Entry, ...]:
        """List every certificate that was made, the oldest first."""
        _, revoked = self._revoked()
        with reasons(self.folder / "issued", "cannot be read"):
            paths = sorted((self.folder / "issued").glob("*.pem"))
        found = [entries.read(path, revoked) for path in paths]
        return tuple(sorted(found, key=_age))

    def _revoked(self) -> tuple[int, dict[str, datetime.datetime]]:
        """The number of the list in force, and what is on it."""
        path = self.folder / "revoked.json"
        with reasons(path, "cannot be read"):
            text = path.read_bytes()
        try:
            kept = json.loads(text)
            if kept["schema"] != _SCHEMA:
                raise AuthorityError(f"{path}: schema {kept['schema']!r} is not known here")
            moments = kept["revoked"].items()
            return int(kept["number"]), {
                one: datetime.datetime.fromisoformat(moment) for one, moment in moments
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AuthorityError(f"{path}: is damaged: {error!r}") from None

    def _publish(self, revoked: Mapping[str, datetime.datetime], *, number: int) -> None:
        made = issuing.revocation_list(
            issuer=self._certificate,
            signer=self._key,
            revoked={int(serial, 16): moment for serial, moment in revoked.items()},
            number=number,
            now=_now(),
        )
        kept: dict[str, Any] = {
            "schema": _SCHEMA,
            "number": number,
            "revoked": {serial: moment.isoformat() for serial, moment in revoked.items()},
        }
        # What we keep comes first: a crash in between leaves a list that the next call corrects.
        text = json.dumps(kept, indent=1).encode() + b"\n"
        durable.replace(self.folder / "revoked.json", text, mode=0o600)
        durable.replace(self.folder / "crl.pem", issuing.pem(made), mode=0o644)


def _age(one: Entry) -> tuple[object, ...]:
    """The order of certificates; those of one second in that of names, the longer one later."""
    return (one.not_before, one.name, one.not_after, one.serial)


def _now() -> datetime.datetime:
    # Certificates count in whole seconds.
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
