"""Certificates with their private keys: files of their own, apart from the state.

    certificates/3f1b...9c.pem     certificates first, then the key; named by its content

A model only names a certificate. So no state, history, log or answer can hold a key, and the same
name is always the same content: a file is written once, before anything refers to it, and never
changed. It goes when no stored configuration names it any more.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from libra_common.durable import sync, write
from libra_haproxy.errors import BadCertificate, CertificateMissing, DiskError
from libra_haproxy.model import Certificate, Model

_BLOCK = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]{1,40})-----\s+"
    r"(?P<body>[A-Za-z0-9+/=\s]+?)\s*-----END (?P=kind)-----",
    re.ASCII,
)
_CERTIFICATE = "CERTIFICATE"
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_LINE = 64


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A certificate, what leads to its issuer, and its private key; its `repr` has no key."""

    certificate: Certificate
    pem: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Bundle:
        """Read PEM in any order: the server's certificate before its issuers, one key.

        What stands between the blocks is left out. Raises BadCertificate, which quotes nothing.
        """
        blocks = [(one["kind"], _der(one["body"])) for one in _BLOCK.finditer(text)]
        certificates = [der for kind, der in blocks if kind == _CERTIFICATE]
        keys = [(kind, der) for kind, der in blocks if kind in _KEYS]
        if not certificates:
            raise BadCertificate("there is no certificate in PEM")
        if len(keys) != 1:
            raise BadCertificate(f"there are {len(keys)} readable private keys in PEM and not one")
        pem = "".join(_pem(_CERTIFICATE, der) for der in certificates) + _pem(*keys[0])
        return cls(
            certificate=Certificate(
                name=hashlib.sha256(pem.encode("ascii")).hexdigest(),
                # Not for security: it is how HAProxy names the certificate that it serves.
                leaf=hashlib.sha1(certificates[0], usedforsecurity=False).hexdigest().upper(),
            ),
            pem=pem,
        )


def named_by(model: Model) -> frozenset[str]:
    """The names of all certificates of a model."""
    return frozenset(lb.tls.certificate.name for lb in model.load_balancers if lb.tls)


class Certificates:
    """The files of one Instance. `mentioned` says whether something stored names a certificate.

    `group` is the id of the group that may read them, or None for the process's own user alone.
    """

    def __init__(
        self, directory: Path, *, group: int | None, mentioned: Callable[[str], bool]
    ) -> None:
        self.directory = directory
        self._group = group
        self._mentioned = mentioned
        self._lock = threading.Lock()
        self._in_use: Counter[str] = Counter()

    def path(self, certificate: Certificate) -> Path:
        """Where HAProxy finds it."""
        return self.directory / f"{certificate.name}.pem"

    def read(self, certificate: Certificate) -> str:
        """Its PEM, with the key. Raises CertificateMissing."""
        try:
            return self.path(certificate).read_text("ascii")
        except OSError as error:
            raise CertificateMissing(
                f"certificate {certificate.name} cannot be read: {error.strerror}"
            ) from error

    @contextmanager
    def kept(self, model: Model, bundles: Iterable[Bundle] = ()) -> Iterator[None]:
        """Around a change to `model`: what it names is there and stays there, named or not yet.

        Raises BadCertificate where key and certificate do not belong together, CertificateMissing
        where one that the model names is neither here nor among `bundles`, or DiskError.
        """
        names = named_by(model)
        with self._lock:
            self._in_use.update(names)
        try:
            for bundle in bundles:
                if bundle.certificate.name in names:
                    self._write(bundle)
            for name in names:
                if not (self.directory / f"{name}.pem").exists():
                    raise CertificateMissing(f"certificate {name} is not known here")
            yield
        finally:
            with self._lock:
                self._in_use.subtract(names)

    def sweep(self) -> None:
        """Erase what nobody names and no change is about to name."""
        with self._lock:
            for path in [*self.directory.glob("*.pem"), *self.directory.glob("*.new")]:
                name = path.name.partition(".")[0]
                if self._in_use[name] <= 0 and not self._mentioned(name):
                    path.unlink(missing_ok=True)

    def _write(self, bundle: Bundle) -> None:
        """Write one, on disk for sure, unless it is there."""
        path = self.path(bundle.certificate)
        if path.exists():
            return
        new = path.with_name(f"{path.name}.{threading.get_native_id()}.new")
        mode = 0o600 if self._group is None else 0o640
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            if self._group is not None:
                os.chown(self.directory, -1, self._group)
                self.directory.chmod(0o710)
            write(new, bundle.pem.encode("ascii"), mode=mode, group=self._group)
            _must_belong_together(new)
            new.rename(path)
            sync(self.directory)
        except OSError as error:
            raise DiskError(f"cannot write {path}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)


def _must_belong_together(path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except ssl.SSLError as error:
        raise BadCertificate(
            f"the certificate and its key are of no use: {error.reason or 'not readable'}"
        ) from error


def _der(body: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error as error:
        raise BadCertificate("a PEM block is not in base64") from error


def _pem(kind: str, der: bytes) -> str:
    """A block as HAProxy's socket takes it: without an empty line, which would end it there."""
    body = base64.b64encode(der).decode("ascii")
    lines = "\n".join(body[at : at + _LINE] for at in range(0, len(body), _LINE))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n"
