"""A real Swift on the loopback: proxy, account, container and object server, with tempauth."""

from __future__ import annotations

import gzip
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swiftclient.client import Connection, get_auth

from tests.support.need import missing
from tests.support.ports import free_port
from tests.support.wait import until

_ROOT = Path(__file__).parents[2]
_BACKENDS = ("account", "container", "object")


@dataclass(frozen=True)
class Account:
    """What a message needs to know: where, and by which token."""

    endpoint: str
    token: str = field(repr=False)


class Swift:
    """A cluster of one device. Its files need extended attributes, which tmpfs may not have."""

    def __init__(self) -> None:
        if importlib.util.find_spec("swift") is None:
            missing("the package swift is not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="libra-swift-", dir="/var/tmp"))
        self.ports = {kind: free_port() for kind in ("proxy", *_BACKENDS)}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Swift:
        try:
            self._write()
            for kind in self.ports:
                self._start(kind)
            until(self._healthy, "Swift answers", 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def port(self) -> int:
        return self.ports["proxy"]

    def account(self, user: str = "test:tester") -> Account:
        """A new token of a user, as a control plane would hand one out."""
        url = f"http://127.0.0.1:{self.port}/auth/v1.0"
        endpoint, token = get_auth(url, user, "testing", auth_version="1")
        return Account(endpoint, token)

    def connection(self, user: str = "test:tester") -> Connection:
        account = self.account(user)
        return Connection(preauthurl=account.endpoint, preauthtoken=account.token, retries=1)

    def objects(self, container: str) -> dict[str, bytes]:
        """Every object of a container, unzipped."""
        connection = self.connection()
        _, listing = connection.get_container(container, full_listing=True)
        return {
            one["name"]: gzip.decompress(connection.get_object(container, one["name"])[1])
            for one in listing
        }

    def said(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))

    # -- how it is put together ----------------------------------------------------------------

    def _start(self, kind: str) -> None:
        with (self.folder / f"{kind}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "tests.support.swift_server",
                        kind,
                        str(self.folder / f"{kind}-server.conf"),
                    ],
                    cwd=_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def _healthy(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, self.said()
        try:
            # An account is made on all three backends' behalf, so that each has to be there.
            self.connection().put_container("first")
        except Exception:  # noqa: BLE001 - it is not up yet, in one way or another
            return False
        return True

    def _write(self) -> None:
        from swift.common.ring import RingBuilder

        (self.folder / "devices" / "d1").mkdir(parents=True)
        for kind in _BACKENDS:
            builder = RingBuilder(4, 1, 0)
            place: dict[str, Any] = {"ip": "127.0.0.1", "port": self.ports[kind]}
            place |= {f"replication_{name}": value for name, value in place.items()}
            builder.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1, **place})
            builder.rebalance()
            builder.get_ring().save(str(self.folder / f"{kind}.ring.gz"))
        self._file("swift.conf", _SWIFT)
        for kind in _BACKENDS:
            self._file(f"{kind}-server.conf", _BACKEND, kind)
        self._file("proxy-server.conf", _PROXY, "proxy")

    def _file(self, name: str, text: str, kind: str = "proxy") -> None:
        values = {
            "folder": self.folder,
            "port": self.ports[kind],
            "kind": kind,
            "user": pwd.getpwuid(os.geteuid()).pw_name,
        }
        (self.folder / name).write_text(text.format(**values))


_SWIFT = """\
[swift-hash]
swift_hash_path_prefix = libra
swift_hash_path_suffix = libra
[storage-policy:0]
name = one
default = yes
"""

_BACKEND = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
log_address = {folder}/none
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
[{kind}-replicator]
"""

_PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = {folder}/none
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats tempauth copy quotas slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
recheck_account_existence = 1
recheck_container_existence = 1
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
paste.filter_factory = tests.support.swift_server:cache_filter
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:tempauth]
use = egg:swift#tempauth
storage_url_scheme = http
user_test_tester = testing .admin
user_test_reader = testing
user_other_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:quotas]
use = egg:swift#container_quotas
[filter:slo]
use = egg:swift#slo
"""
