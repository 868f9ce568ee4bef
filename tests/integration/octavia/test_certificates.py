"""Certificates of a listener are exchanged through Octavia's API without a reload."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from libra_haproxy.runtime import Worker
from libra_octavia.objects.certificates import pair
from tests.support.octavia_cloud import OctaviaCloud
from tests.support.octavia_tls import client, container
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WWW, OTHER = "www.example.org", "other.example.org"


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud() as running:
        yield running


def ask(connection: ssl.SSLSocket) -> bytes:
    """A request on a connection, which stays open."""
    asking = http.client.HTTPConnection("unused")
    asking.sock = connection
    asking.request("GET", "/", headers={"Host": WWW})
    response = asking.getresponse()
    assert response.status == 200
    return response.read()


def connect(vip: str, name: str = WWW) -> ssl.SSLSocket:
    """A connection of a client that believes the authority and wants this name."""
    return client().wrap_socket(socket.create_connection((vip, 443), 10), server_hostname=name)


def shown(vip: str, name: str = WWW) -> int:
    """The serial number of the certificate that a client is shown, who is answered too."""
    with connect(vip, name) as opened:
        assert ask(opened) == b"web"
        found = opened.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).serial_number


def serial(of: dict[str, Any]) -> int:
    """The serial number of a container's certificate."""
    return x509.load_pem_x509_certificate(of["certificate"].encode()).serial_number


class Clients:
    """Clients of both names with a new connection for each request, and one that keeps its own."""

    def __init__(self, vip: str) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._end = threading.Event()
        self._threads = [
            *(
                threading.Thread(target=self._ask, args=(vip, name), daemon=True)
                for name in (WWW, OTHER)
            ),
            threading.Thread(target=self._stay, args=(vip,), daemon=True),
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def go_on(self) -> None:
        """Wait for more answers, none of which is wrong."""
        seen = self.answers
        until(lambda: self.answers > seen + 10 or bool(self.failures), "clients are answered")
        assert self.failures == []

    def _stay(self, vip: str) -> None:
        try:
            with connect(vip) as opened:
                while not self._end.wait(0.1):
                    assert ask(opened) == b"web"
        except Exception as error:  # noqa: BLE001 - it was shut out
            self.failures.append(f"on an old connection: {error!r}")

    def _ask(self, vip: str, name: str) -> None:
        while not self._end.is_set():
            try:
                shown(vip, name)
            except Exception as error:  # noqa: BLE001 - each is a lost request
                self.failures.append(repr(error))
            self.answers += 1


class Serving:
    """The process of HAProxy that serves on the only device there is."""

    def __init__(self, cloud: OctaviaCloud) -> None:
        (found,) = (cloud.folder / "d").glob("**/admin.sock")
        self._worker = Worker(socket_path=found)

    @property
    def pid(self) -> str:
        said = self._worker.ask("show info")
        return next(line for line in said.splitlines() if line.startswith("Pid:"))


def secrets_of(*containers: dict[str, Any]) -> list[bytes]:
    """A line of each private key, as Octavia has it and as devices get it."""
    texts = [one["private_key"] for one in containers]
    texts += [pair(one).decode().partition("PRIVATE KEY-----\n")[2] for one in containers]
    return [next(line for line in text.splitlines() if "-" not in line).encode() for text in texts]


def files_below(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.glob("**/*"):
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def test_certificates_are_exchanged_without_a_reload_and_without_a_failing_client(
    cloud: OctaviaCloud,
) -> None:
    # Given a listener that ends TLS for two names
    first, second = container(WWW, anew=True), container(WWW, anew=True)
    third, fourth = container(WWW, anew=True), container(OTHER, anew=True)
    before = container(OTHER, anew=True)
    for name, kept in (("www1", first), ("www2", second), ("other1", before), ("other2", fourth)):
        cloud.api.keep(name, kept)
    (web,) = cloud.members("web")
    made = cloud.balancer()
    front = cloud.create(
        "listeners",
        loadbalancer_id=made["id"],
        protocol="TERMINATED_HTTPS",
        protocol_port=443,
        default_tls_container_ref="www1",
        sni_container_refs=["other1"],
    )
    behind = cloud.create(
        "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
    )
    cloud.create(f"pools/{behind['id']}/members", address=web.host, protocol_port=web.port)
    vip, listener = made["vip_address"], f"listeners/{front['id']}"
    assert (shown(vip), shown(vip, OTHER)) == (serial(first), serial(before))
    serving = Serving(cloud)
    pid = serving.pid
    with Clients(vip) as clients:
        # When another container is referred to, the next client is shown its certificate
        cloud.update(listener, default_tls_container_ref="www2")
        assert shown(vip) == serial(second)
        clients.go_on()

        # And when what is in the container was renewed, as soon as Octavia is told
        cloud.api.keep("www2", third)
        cloud.update(listener, default_tls_container_ref="www2")
        assert shown(vip) == serial(third)
        clients.go_on()

        # And when it is that of another name
        cloud.update(listener, sni_container_refs=["other2"])
        assert (shown(vip), shown(vip, OTHER)) == (serial(third), serial(fourth))
        clients.go_on()

        # Then it is the same process
        assert serving.pid == pid
    assert clients.failures == []

    # (which another change would have replaced)
    cloud.update(listener, connection_limit=1000)
    assert serving.pid != pid
    assert (shown(vip), shown(vip, OTHER)) == (serial(third), serial(fourth))

    # And no key is anywhere but with HAProxy, nor in any command line
    secrets = secrets_of(first, second, third, fourth, before)
    found = {
        path
        for path, content in files_below(cloud.folder, cloud.pool.folder)
        if any(secret in content for secret in secrets) and path.suffix != ".pem"
    }
    assert found == set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = path.read_bytes()
        except OSError:
            continue
        assert b"PRIVATE KEY" not in said
        assert not any(secret in said for secret in secrets)
