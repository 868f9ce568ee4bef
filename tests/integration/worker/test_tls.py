"""Listeners that end TLS: HTTP/2 is spoken, certificates are exchanged without a reload."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from libra_haproxy.certificates import Bundle
from libra_haproxy.errors import BadCertificate, CertificateMissing
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server, Tls
from tests.support.backends import HttpBackend
from tests.support.certificates import bundle, trusting
from tests.support.engine import Engine
from tests.support.h2client import H2Client
from tests.support.haproxies import HAPROXIES
from tests.support.ports import free_port
from tests.support.traffic import refused
from tests.support.wait import until

NAME = "libra.example"


@pytest.fixture(params=HAPROXIES, ids=str)
def engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[Engine]:
    """An Instance on each release of HAProxy that is there."""
    with Engine(folder, haproxy=request.param.path()) as found:
        yield found


def https(port: int, tls: Tls | Bundle | None, *backends: HttpBackend) -> Model:
    servers = tuple(
        Server(address=one.host, port=one.port, node_id=number)
        for number, one in enumerate(backends, 1)
    )
    ended = Tls(certificate=tls.certificate) if isinstance(tls, Bundle) else tls
    lb = LoadBalancer(protocol=Protocol.HTTP, port=port, servers=servers, tls=ended)
    return Model(load_balancers=(lb,))


def leaf(port: int) -> str:
    """The fingerprint of what a new client is shown, who trusts it."""
    client = H2Client(port, trusting("h2"))
    client.close()
    assert client.certificate is not None
    return hashlib.sha1(client.certificate, usedforsecurity=False).hexdigest().upper()


def test_http_2_is_spoken_and_http_1_and_nothing_before_tls_1_2(
    engine: Engine, a: HttpBackend
) -> None:
    # Given a listener that ends TLS
    port, one = free_port(), bundle(NAME)
    engine.instance.apply(https(port, one, a), certificates=[one])
    # Then HTTP/2 is spoken to those who know it, on one connection
    client = H2Client(port, trusting("h2", "http/1.1"))
    assert [client.get().body for _ in range(3)] == [b"a"] * 3
    assert client.get(headers={"cookie": "SERVERID=id-1"}).status == 200
    client.close()
    # And HTTP/1.1 to the others
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trusting("http/1.1").wrap_socket(plain, server_hostname=NAME) as old,
    ):
        assert old.selected_alpn_protocol() == "http/1.1"
        old.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: old.recv(65536), b"")).endswith(b"\r\n\r\na")
    # And no version of TLS before 1.2 is
    outdated = trusting()
    outdated.set_ciphers("ALL:@SECLEVEL=0")
    outdated.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        outdated.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        outdated.wrap_socket(plain, server_hostname=NAME)


def test_a_certificate_is_exchanged_without_a_reload_and_stays_over_one_and_a_cold_start(
    engine: Engine, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a listener with a certificate, and a client on it
    port, first, second = free_port(), bundle(NAME), bundle(NAME)
    engine.instance.apply(https(port, first, a), certificates=[first])
    pid = engine.worker.pid_and_digest()[0]
    client = H2Client(port, trusting("h2"))
    assert client.get().body == b"a"
    assert leaf(port) == first.certificate.leaf
    # When it gets another, and a node comes with it
    engine.instance.apply(https(port, second, a, b), certificates=[second])
    # Then new clients are shown that one, by the same process, and the client goes on
    assert leaf(port) == second.certificate.leaf
    assert engine.worker.pid_and_digest()[0] == pid
    assert {client.get().body for _ in range(4)} == {b"a", b"b"}
    assert engine.node.config_passes()
    # And a third time, by a daemon that has just come
    engine.reopen()
    third = bundle(NAME)
    engine.instance.apply(https(port, third, a, b), certificates=[third])
    assert leaf(port) == third.certificate.leaf
    assert engine.worker.pid_and_digest()[0] == pid
    client.close()
    # And a reload and a cold start leave it as it is
    reloaded = https(port, third, a, b)
    reloaded = Model(load_balancers=(replace(reloaded.load_balancers[0], retries=1),))
    engine.instance.apply(reloaded)
    assert engine.worker.pid_and_digest()[0] != pid
    assert leaf(port) == third.certificate.leaf
    engine.reopen(cold=True)
    assert leaf(port) == third.certificate.leaf
    # And it may be the first once more, which the history still names
    engine.instance.apply(https(port, first, a, b))
    assert leaf(port) == first.certificate.leaf
    # And the one of before once more, by a rollback
    engine.instance.rollback(engine.instance.history()[1].number)
    assert leaf(port) == third.certificate.leaf


@pytest.mark.slow
@pytest.mark.parametrize(
    "crash_at",
    ["before_write", "after_write", "after_state_rename", "after_rename", "after_runtime",
     "after_confirm"],
)  # fmt: skip
def test_after_a_kill_in_an_exchange_what_is_stored_is_what_is_served(
    folder: Path, a: HttpBackend, b: HttpBackend, crash_at: str
) -> None:
    # Given a listener whose certificate and nodes are changed by a daemon that is killed
    port, first, second = free_port(), bundle(NAME), bundle(NAME)
    with Engine(folder) as engine:
        engine.instance.apply(https(port, first, a), certificates=[first])
        engine.apply_and_die(https(port, second, b), second, crash_at=crash_at)
        # Then it is all of before or all of after, and a cold start changes nothing of it
        (lb,) = (engine.instance.state.model or Model(load_balancers=())).load_balancers
        whole = {first.certificate.leaf: b"a", second.certificate.leaf: b"b"}
        assert lb.tls is not None
        assert lb.tls.certificate.leaf == leaf(port)
        assert _answer(port) == whole[leaf(port)]
        before = leaf(port)
        engine.reopen(cold=True)
        assert (leaf(port), _answer(port)) == (before, whole[before])
        # And the change can be made once more
        engine.instance.apply(https(port, second, b), certificates=[second])
        assert (leaf(port), _answer(port)) == (second.certificate.leaf, b"b")


def _answer(port: int) -> bytes:
    client = H2Client(port, trusting("h2"))
    try:
        return client.get().body
    finally:
        client.close()


@pytest.mark.slow
def test_random_changes_leave_what_a_fresh_start_would_serve(
    engine: Engine, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a listener with one of some certificates, and nodes that come and go
    port, dice = free_port(), random.Random(5)
    bundles = [bundle(NAME) for _ in range(3)]
    engine.instance.apply(https(port, bundles[0], a), certificates=bundles)
    client = H2Client(port, trusting("h2"))
    reloads, pid = 0, engine.worker.pid_and_digest()[0]
    for _ in range(25):
        # When both change at random
        used = dice.choice(bundles)
        wanted = https(port, used, *dice.choice([(a,), (a, b), (a, b, a)]))
        engine.instance.apply(wanted, certificates=[used])
        # Then each is in force at once
        assert leaf(port) == used.certificate.leaf
        assert client.get().body in {b"a", b"b"}
        reloads += engine.worker.pid_and_digest()[0] != pid
        pid = engine.worker.pid_and_digest()[0]
    client.close()
    assert reloads < 25
    # And a fresh start serves the same, once the removed ones are gone
    names = {f"id-{server.node_id}" for server in wanted.load_balancers[0].servers}
    until(lambda: _names(engine) == names, "they are gone", 60)
    before = sorted(engine.worker.servers(), key=repr)
    engine.reopen(cold=True)
    assert sorted(engine.worker.servers(), key=repr) == before
    assert leaf(port) == used.certificate.leaf


def _names(engine: Engine) -> set[str]:
    engine.instance.look()  # as a daemon does each second
    return {row.name for row in engine.worker.servers()}


def test_a_suspended_listener_gets_its_certificate_and_shows_it_when_enabled(
    engine: Engine, a: HttpBackend
) -> None:
    port, first, second = free_port(), bundle(NAME), bundle(NAME)
    engine.instance.apply(https(port, first, a), certificates=[first])
    engine.instance.suspend()
    assert refused(port)
    engine.instance.apply(https(port, second, a), certificates=[second])
    assert refused(port)
    engine.instance.enable()
    assert leaf(port) == second.certificate.leaf


def test_a_certificate_that_is_gone_from_disk_is_named_and_the_old_process_serves_on(
    engine: Engine, a: HttpBackend, b: HttpBackend
) -> None:
    port, one = free_port(), bundle(NAME)
    engine.instance.apply(https(port, one, a), certificates=[one])
    file = engine.node.state_dir / "certificates" / f"{one.certificate.name}.pem"
    file.unlink()
    with pytest.raises(CertificateMissing, match=one.certificate.name):
        engine.instance.apply(https(port, one, b))
    assert (leaf(port), _answer(port)) == (one.certificate.leaf, b"a")
    # And given once more it is written once more
    engine.instance.apply(https(port, one, b), certificates=[one])
    assert file.exists()
    assert _answer(port) == b"b"


def test_tls_comes_and_goes_by_a_reload(engine: Engine, a: HttpBackend) -> None:
    port, one = free_port(), bundle(NAME)
    engine.instance.apply(https(port, None, a))
    engine.instance.apply(https(port, one, a), certificates=[one])
    assert leaf(port) == one.certificate.leaf
    engine.instance.apply(https(port, None, a))
    with pytest.raises(ssl.SSLError):
        leaf(port)


def test_a_certificate_that_haproxy_will_not_exchange_comes_by_a_reload(
    engine: Engine, a: HttpBackend
) -> None:
    # Given a listener with a certificate
    port, first, second = free_port(), bundle(NAME), bundle(NAME)
    engine.instance.apply(https(port, first, a), certificates=[first])
    pid = engine.worker.pid_and_digest()[0]
    # When one comes that is longer than HAProxy's socket takes
    chain = "".join(bundle(NAME, *(f"n{i}-{n}.example" for n in range(200))).pem for i in range(6))
    long = Bundle.parse(_one_key(second.pem, chain))
    engine.instance.apply(https(port, long, a), certificates=[long])
    # Then it is served all the same, by another process
    assert leaf(port) == second.certificate.leaf
    assert engine.worker.pid_and_digest()[0] != pid


def _one_key(first: str, others: str) -> str:
    """The certificates of both, and the key of the first."""
    end = "-----END CERTIFICATE-----\n"
    begin = "-----BEGIN CERTIFICATE-----"
    more = [begin + part.partition(end)[0] + end for part in others.split(begin)[1:]]
    return first + "".join(more)


def test_keys_are_in_files_of_their_own_that_others_cannot_read_and_go_when_unnamed(
    engine: Engine, a: HttpBackend, caplog: pytest.LogCaptureFixture
) -> None:
    port, bundles = free_port(), [bundle(NAME) for _ in range(8)]
    folder = engine.node.state_dir / "certificates"
    with caplog.at_level("DEBUG"):
        for one in bundles:
            engine.instance.apply(https(port, one, a), certificates=[one])
    # Then a key is in the file of its certificate alone
    key = bundles[-1].pem.split("PRIVATE KEY-----")[1].strip().splitlines()[0]
    holding = [path for path in engine.node.folder.rglob("*") if _holds(path, key)]
    assert holding == [folder / f"{bundles[-1].certificate.name}.pem"]
    assert key not in caplog.text
    assert key not in repr(bundles[-1])
    # And only HAProxy's user may read it
    for path in (folder, *holding):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o027
    # And those that the history names are kept, and no others
    named = {one.certificate.name for one in bundles[-5:]}
    until(lambda: {path.stem for path in folder.iterdir()} == named, "the others are erased")
    # And with the load balancer all of them go
    engine.instance.delete()
    assert list(folder.iterdir()) == []


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and text.encode() in path.read_bytes()


def test_what_is_no_certificate_with_its_key_is_refused_and_changes_nothing(
    engine: Engine, a: HttpBackend, b: HttpBackend
) -> None:
    # Given a listener with a certificate
    port, one, other = free_port(), bundle(NAME), bundle(NAME)
    engine.instance.apply(https(port, one, a), certificates=[one])
    before = engine.node.config_text()
    # When another comes with a foreign key, or is only named
    foreign = Bundle.parse(_one_key(_only_key(one.pem), other.pem))
    with pytest.raises(BadCertificate, match="KEY_VALUES_MISMATCH"):
        engine.instance.apply(https(port, foreign, b), certificates=[foreign])
    with pytest.raises(CertificateMissing, match=other.certificate.name):
        engine.instance.apply(https(port, other, b))
    # Then the first is served, and nothing is left of the others
    assert leaf(port) == one.certificate.leaf
    assert engine.node.config_text() == before
    engine.reopen()
    files = (engine.node.state_dir / "certificates").iterdir()
    assert [path.stem for path in files] == [one.certificate.name]


def _only_key(pem: str) -> str:
    """The block with the key."""
    return next("-----BEGIN" + part for part in pem.split("-----BEGIN") if "KEY" in part)
