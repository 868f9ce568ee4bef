"""The certificates that an authority made, read back from their files."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from libra_common import roles
from libra_common.authority import issuing
from libra_common.authority.errors import AuthorityError
from libra_common.authority.files import reasons
from libra_common.authority.issuing import Usage
from libra_common.roles import NoIdentity, Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A certificate that the authority made. Times are in UTC; `revoked` is when, or None."""

    serial: str
    name: str
    role: Role | None
    usage: Usage
    dns: tuple[str, ...]
    addresses: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime
    revoked: datetime.datetime | None

    @property
    def days(self) -> float:
        """How long it was made for, in days."""
        seconds = (self.not_after - self.not_before - issuing.SKEW).total_seconds()
        return max(1.0, seconds) / 86400


def read(path: Path, revoked: Mapping[str, datetime.datetime]) -> Entry:
    """Read one; raises AuthorityError."""
    with reasons(path, "cannot be read"):
        text = path.read_bytes()
    try:
        made = x509.load_pem_x509_certificate(text)
        purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise AuthorityError(f"{path}: is not a certificate of ours: {error}") from None
    try:
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    identity = None
    with contextlib.suppress(NoIdentity):
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        identity = roles.identity_of(uris)
    return Entry(
        serial=path.stem,
        name=identity.name if identity else common_name(made),
        role=identity.role if identity else None,
        usage=issuing.usage_of(purposes),
        dns=tuple(names.get_values_for_type(x509.DNSName)),
        addresses=tuple(str(one) for one in names.get_values_for_type(x509.IPAddress)),
        not_before=made.not_valid_before_utc,
        not_after=made.not_valid_after_utc,
        revoked=revoked.get(path.stem),
    )


def common_name(certificate: x509.Certificate) -> str:
    """Give the name of a certificate's holder as its subject has it."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
