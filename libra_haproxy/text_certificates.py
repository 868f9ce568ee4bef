"""Certificates of a controller's text that get another content while HAProxy serves.

HAProxy takes another key with its certificates at run time. Authorities and revocation lists it
reads when it starts; where one of them has changed, or a file has come or gone, it is reloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from libra_haproxy.errors import NotInForce
from libra_haproxy.loaded import Loaded


def renewed(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...] | None:
    """The files with another content than before; None where only a reload brings them.

    Both have a digest of each file's content, by where it is.
    """
    if old.keys() != new.keys():
        return None
    changed = tuple(sorted(file for file in new if new[file] != old[file]))
    return changed if all(map(_has_key, changed)) else None


def renew(loaded: Loaded, files: tuple[str, ...]) -> None:
    """Have new connections served with what is in these files now. Raises NotInForce."""
    for file in files:
        try:
            pem = Path(file).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            raise NotInForce("a certificate cannot be read") from None
        # An empty line would end it on HAProxy's socket.
        loaded.renew(file, "".join(f"{line}\n" for line in pem.splitlines() if line.strip()))


def _has_key(file: str) -> bool:
    try:
        return b"PRIVATE KEY-----" in Path(file).read_bytes()
    except OSError:
        return False
