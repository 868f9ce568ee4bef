"""What an authority refuses, and why."""

from __future__ import annotations

from libra_common.errors import LibraError
from libra_common.exits import Exit


class AuthorityError(LibraError):
    """An authority's directory cannot be used; the text names the file and the reason."""

    code = "bad_authority"
    exit_code = Exit.CONFIG


class RefusedCertificate(LibraError):
    """A certificate that no authority makes was asked for; the text names the field and why."""

    code = "refused_certificate"
    exit_code = Exit.USAGE


class UnknownSerial(LibraError):
    """The authority never made a certificate of that number."""

    code = "unknown_serial"
    exit_code = Exit.USAGE
