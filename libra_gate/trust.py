"""Whom the gate trusts: the holder of a certificate, the authorities, and who is revoked."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from libra_common.errors import SettingsError
from libra_common.roles import Identity, NoIdentity, identity_of

_REMEMBERED = 4096
"""Certificates whose reading is remembered: a client comes with the same one for every job."""

_PEM_LIST = b"-----BEGIN X509 CRL-----"


@dataclass(frozen=True, slots=True)
class Peer:
    """The holder of a certificate that TLS has verified."""

    identity: Identity
    serial: int
    not_after: datetime.datetime
    certificate: x509.Certificate


@lru_cache(maxsize=_REMEMBERED)
def peer_of(der: bytes) -> Peer:
    """Read a verified certificate. Raises NoIdentity, with the reason."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    except ValueError as error:
        raise NoIdentity(f"it cannot be read: {error}") from None
    return Peer(
        identity=identity_of(uris),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
        certificate=certificate,
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities, and the serial numbers that each of them revoked, at one moment."""

    authorities: tuple[x509.Certificate, ...]
    revoked: tuple[frozenset[int], ...]

    def fault_of(self, peer: Peer, now: datetime.datetime) -> str:
        """Say why a holder is not let in, or not any more; "" where nothing speaks against it."""
        if peer.not_after <= now:
            return f"its certificate ended at {peer.not_after:%Y-%m-%d %H:%M:%S} UTC"
        for authority, revoked in zip(self.authorities, self.revoked, strict=True):
            if _signed(authority, peer.certificate):
                return "its certificate was revoked" if peer.serial in revoked else ""
        return "its certificate's authority is not trusted any more"


def read_trust(*, ca: Path, crl: Path | None) -> Trust:
    """Read the authorities and their lists. Raises SettingsError, which names setting and file.

    A list that no authority of `ca` signed is refused whole: it may be the wrong file.
    """
    where = f"[gate] ssl_ca = {str(ca)!r}"
    try:
        authorities = tuple(x509.load_pem_x509_certificates(ca.read_bytes()))
    except OSError as error:
        raise SettingsError(f"{where}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{where}: no usable certificate: {error}") from None
    lists = [] if crl is None else _read_lists(crl)
    found: list[set[int]] = [set() for _ in authorities]
    for number, listed in enumerate(lists, 1):
        signers = [place for place, one in enumerate(authorities) if _signed_list(one, listed)]
        if not signers:
            raise SettingsError(
                f"[gate] crl = {str(crl)!r}: list {number} is of no authority in ssl_ca"
            )
        for place in signers:
            found[place].update(one.serial_number for one in listed)
    return Trust(authorities, tuple(frozenset(one) for one in found))


def fault_of_own(path: Path, now: datetime.datetime) -> str:
    """Say why no client would trust the gate's own certificate, "" where nothing is seen.

    It is no reason not to start or to renew: what is there already may be no better.
    """
    try:
        own = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError) as error:
        return f"it cannot be read: {error}"
    if own.not_valid_after_utc <= now:
        return f"it ended at {own.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
    if own.not_valid_before_utc > now:
        return f"it begins at {own.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
    try:
        purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    good = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return "" if good & set(purposes) else "it is not for servers (--usage server)"


def _read_lists(path: Path) -> list[x509.CertificateRevocationList]:
    where = f"[gate] crl = {str(path)!r}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{where}: cannot be read: {error.strerror}") from None
    _, *parts = data.split(_PEM_LIST)
    if not parts:
        raise SettingsError(f"{where}: there is no list of revoked certificates in it")
    try:
        return [x509.load_pem_x509_crl(_PEM_LIST + part) for part in parts]
    except ValueError as error:
        raise SettingsError(f"{where}: cannot be understood: {error}") from None


@lru_cache(maxsize=_REMEMBERED)
def _signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _signed_list(authority: x509.Certificate, listed: x509.CertificateRevocationList) -> bool:
    try:
        return listed.issuer == authority.subject and listed.is_signature_valid(
            authority.public_key()  # type: ignore[arg-type]  # any other kind raises
        )
    except (TypeError, ValueError):
        return False


def stamp(paths: Iterable[Path | None]) -> tuple[tuple[int, int, int] | None, ...]:
    """Give what changes whenever one of the files does; None for one that is not there."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
