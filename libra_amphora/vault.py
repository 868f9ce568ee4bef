"""Secrets that must survive a reboot, on disk only encrypted under the node's key.

AES-256-GCM; a secret's name is authenticated with it, so that none can be put in another's place.
Without a node key nothing is kept, and the controller sends it again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libra_amphora.errors import AmphoraError
from libra_amphora.files import private, replace

LOG = logging.getLogger(__name__)

_FEWEST_BYTES = 32
_NONCE = 12
_SUFFIX = ".sealed"


class BadNodeKey(AmphoraError):
    """The node key cannot be read or is too short."""

    code = "bad_node_key"


class Vault:
    """The secrets in `directory`, by names of one to three plain parts: `certificates/<id>/<file>`.

    `key_file` is the node's key, None for none. Raises BadNodeKey.
    """

    def __init__(self, *, directory: Path, key_file: Path | None) -> None:
        self._directory = directory
        self._cipher = None if key_file is None else AESGCM(_key(key_file))

    def keep(self, name: str, secret: bytes) -> None:
        """Keep a secret over a reboot. Raises DiskError."""
        if self._cipher is None:
            return
        private(self._directory)
        nonce = os.urandom(_NONCE)
        replace(self._path(name), nonce + self._cipher.encrypt(nonce, secret, name.encode()))

    def forget(self, name: str) -> None:
        """Keep it no longer; one that was never kept is fine."""
        self._path(name).unlink(missing_ok=True)

    def secret(self, name: str) -> bytes | None:
        """A secret that was kept; None where there is none or it is not this node's."""
        if self._cipher is None:
            return None
        try:
            data = self._path(name).read_bytes()
            return self._cipher.decrypt(data[:_NONCE], data[_NONCE:], name.encode())
        except FileNotFoundError:
            return None
        except (OSError, InvalidTag, ValueError) as error:
            LOG.error("the secret %s cannot be opened: %s", name, type(error).__name__)
            return None

    def names(self, below: str) -> Iterator[str]:
        """The names of all secrets below a part of names."""
        for path in sorted((self._directory / below).rglob(f"*{_SUFFIX}")):
            yield str(path.relative_to(self._directory))[: -len(_SUFFIX)]

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"


def _key(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadNodeKey(f"[libra_amphora] node_key: {file}: {error.strerror}") from error
    if len(data) < _FEWEST_BYTES:
        raise BadNodeKey(f"[libra_amphora] node_key: {file} is shorter than {_FEWEST_BYTES} bytes")
    return hashlib.sha256(data).digest()
