"""The certificates that a controller sends for its load balancers.

They lie on the memory file system as they were received, readable by HAProxy alone; a list of
them (`crt-list`) gets a second file with the paths that they have here. A configuration names
them by the controller's own paths, `<base_cert_dir>/<load balancer>/<name>.pem`, or, as older
controllers do, all of them by their folder; a list of the key pairs in it stands for that.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from libra_amphora import pem
from libra_amphora.errors import AmphoraError
from libra_amphora.files import private, replace
from libra_amphora.vault import Vault
from libra_haproxy.text_words import BadLine, split

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}\.pem", re.ASCII)
_CONTROLLERS_OWN = re.compile(
    r"(?:[0-9a-f]{40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.pem", re.ASCII
)
_LIST_SUFFIX = ".list"
_FOLDER = f"folder{_LIST_SUFFIX}"
"""What stands for the folder itself: HAProxy could not tell pairs from what else is in it."""

_IN_VAULT = "certificates"


Named = Iterable[tuple[str, str]]
"""What configurations name: words like `crt`, and the controller's paths behind them."""


class BadName(AmphoraError):
    """No certificate can have this name."""

    code = "bad_name"


class Certificates:
    """All of a node's certificates, below `directory`; HAProxy runs as `user` and `group`.

    `base` is the folder that controllers name in configurations.
    """

    def __init__(
        self, *, directory: Path, base: Path, vault: Vault, user: int | None, group: int | None
    ) -> None:
        self._directory = directory
        self._base = PurePosixPath(base)
        self._vault = vault
        self._user = user
        self._group = group
        self._lock = threading.Lock()

    def restore(self) -> None:
        """Bring back what the vault kept and the memory file system lost."""
        private(self._directory, user=self._user, group=self._group)
        restored = set()
        for secret in self._vault.names(_IN_VAULT):
            _, balancer, name = secret.split("/")
            data = self._vault.secret(secret)
            if data is not None and not (self._directory / balancer / name).exists():
                self._write(balancer, name, data)
                restored.add(balancer)
        for balancer in restored:
            self._list_folder(balancer)

    def put(self, balancer: str, name: str, data: bytes, *, strict: bool) -> str:
        """Check and keep a certificate; gives the MD5 of its bytes.

        `strict` takes nothing but an RSA key with its certificate; otherwise names that only a
        controller gives may be anything that its configurations refer to. Raises BadName, BadPem
        or DiskError; what was there before is there still.
        """
        _check_name(name)
        if strict or not _CONTROLLERS_OWN.fullmatch(name):
            pem.pair(data, only_rsa=strict)
        elif b"-----BEGIN" in data:
            pem.content(data)
        elif self._listed(balancer, data) is None:
            raise pem.BadPem(pem.NO_CERTIFICATE)
        with self._lock:
            self._vault.keep(f"{_IN_VAULT}/{balancer}/{name}", data)
            self._write(balancer, name, data)
            self._list_folder(balancer)
        return _md5(data)

    def md5(self, balancer: str, name: str) -> str | None:
        """The MD5 of a certificate's bytes as they were received; None where there is none."""
        _check_name(name)
        try:
            return _md5((self._directory / balancer / name).read_bytes())
        except FileNotFoundError:
            return None

    def delete(self, balancer: str, name: str) -> bool:
        """Remove a certificate; whether there was one."""
        _check_name(name)
        with self._lock:
            directory = self._directory / balancer
            there = (directory / name).exists()
            self._vault.forget(f"{_IN_VAULT}/{balancer}/{name}")
            for path in (directory / name, directory / f"{name}{_LIST_SUFFIX}"):
                path.unlink(missing_ok=True)
            if directory.is_dir():
                self._list_folder(balancer)
        return there

    def known(self, balancer: str) -> bool:
        """Whether there is any for a load balancer."""
        return (self._directory / balancer).is_dir()

    def drop(self, balancer: str) -> None:
        """Remove all of a load balancer's."""
        with self._lock:
            for secret in list(self._vault.names(f"{_IN_VAULT}/{balancer}")):
                self._vault.forget(secret)
            shutil.rmtree(self._directory / balancer, ignore_errors=True)

    def drop_unused(self, balancer: str, before: Named, after: Named) -> None:
        """Remove what configurations named `before` and do not name `after`, in lists or not."""
        for name in self._names(balancer, before) - self._names(balancer, after):
            self.delete(balancer, name)

    def of(self, balancer: str) -> BalancerFiles:
        """A load balancer's own, as its configuration names them."""
        return BalancerFiles(self._directory / balancer, self._base / balancer)

    def _write(self, balancer: str, name: str, data: bytes) -> None:
        directory = private(self._directory / balancer, user=self._user, group=self._group)
        replace(directory / name, data, user=self._user, group=self._group)
        listed = None if b"-----BEGIN" in data else self._listed(balancer, data)
        path = directory / f"{name}{_LIST_SUFFIX}"
        if listed is None:
            path.unlink(missing_ok=True)
        else:
            replace(path, listed.encode(), user=self._user, group=self._group)

    def _names(self, balancer: str, named: Named) -> set[str]:
        directory, base = self._directory / balancer, self._base / balancer
        found: set[str] = set()
        for word, path in map(_split, named):
            if word == "crt" and path == base:
                found |= {one.name for one in directory.glob("*.pem")}
            elif path.parent == base:
                found.add(path.name)
                if word == "crt-list":
                    found |= _listed_names(directory / path.name)
        return {name for name in found if _NAME.fullmatch(name)}

    def _list_folder(self, balancer: str) -> None:
        """Bring the list of a folder's key pairs up to date; an empty folder goes."""
        directory = self._directory / balancer
        names = sorted(path.name for path in directory.glob("*.pem"))
        if not names:
            shutil.rmtree(directory)
            return
        pairs = [name for name in names if pem.has_pair((directory / name).read_bytes())]
        listed = "".join(f"{directory / name}\n" for name in pairs)
        path = directory / _FOLDER
        replace(path, listed.encode(), user=self._user, group=self._group)

    def _listed(self, balancer: str, data: bytes) -> str | None:
        """A list with this node's paths in it; None where it is no list of such certificates."""
        files = self.of(balancer)
        lines: list[str] = []
        try:
            for line in data.decode("ascii").splitlines():
                path, *rest = split(line) or [""]
                if not path:
                    continue
                local = files.local("crt", path)
                if local is None or any("file" in word or "/" in word for word in rest):
                    return None
                lines.append(" ".join((str(local), *rest)))
        except (UnicodeDecodeError, BadLine):
            return None
        return "\n".join(lines) + "\n" if lines else None


class BalancerFiles:
    """One load balancer's certificates by the paths of its controller (`text_derive.Files`)."""

    def __init__(self, directory: Path, base: PurePosixPath) -> None:
        self._directory = directory
        self._base = base

    def local(self, word: str, path: str) -> Path | None:
        """Where a certificate is that a configuration names; whether it was sent is not asked.

        For `crt` and the folder of all of them that is a list, for `crt-list`.
        """
        named = PurePosixPath(path)
        if word == "crt" and named == self._base:
            return self._directory / _FOLDER
        if named.parent != self._base or not _NAME.fullmatch(named.name):
            return None
        name = f"{named.name}{_LIST_SUFFIX}" if word == "crt-list" else named.name
        return self._directory / name

    def digests(self) -> dict[str, str]:
        """A digest of each file's content, by where it is."""
        if not self._directory.is_dir():
            return {}
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._directory.iterdir()
        }


def _split(named: tuple[str, str]) -> tuple[str, PurePosixPath]:
    return named[0], PurePosixPath(named[1])


def _listed_names(path: Path) -> set[str]:
    """The names of the certificates in a list as it was received."""
    try:
        lines = path.read_text("ascii").splitlines()
        words = [split(line)[:1] for line in lines]
    except (OSError, UnicodeDecodeError, BadLine):
        return set()
    return {PurePosixPath(word).name for line in words for word in line}


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or ".." in name:
        raise BadName(f"no certificate can be called {name!r}")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
