"""A small certificate authority in a directory: who may speak to whom, and who no longer may.

    ca.pem            the authority's certificate: what everybody trusts
    ca.key            its private key, readable by its owner alone
    crl.pem           the certificates that were revoked, signed; copied to where it is checked
    revoked.json      the same as this module keeps it, and the number of the list
    issued/SERIAL.pem each certificate that was made; keys of others are never kept

Every file is written whole or not at all and is on disk before a call returns, so that a crash
leaves the state before or after it. Processes that use one directory at once wait for each other
(flock on `lock`). Needs the package `cryptography`, which an ordinary node does not have.

    authority = Authority.create(Path("/etc/libra/ca"))
    made = authority.issue(name="web-1", role=Role.NODE, days=90)
"""

from __future__ import annotations

from libra_common.authority.entries import Entry
from libra_common.authority.errors import AuthorityError, RefusedCertificate, UnknownSerial
from libra_common.authority.folder import CA_DAYS, DAYS, Authority, Issued
from libra_common.authority.issuing import Usage
from libra_common.roles import Role

__all__ = [
    "CA_DAYS",
    "DAYS",
    "Authority",
    "AuthorityError",
    "Entry",
    "Issued",
    "RefusedCertificate",
    "Role",
    "UnknownSerial",
    "Usage",
]
