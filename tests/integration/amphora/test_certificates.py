"""Certificates: what is taken, where it lies, what is served with it, what nobody gets to see."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import folders
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities
from tests.support.backends import HttpBackend
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
    OTHER_LISTENER,
    Proxy,
    configuration,
)
from tests.support.ports import free_port

CERTIFICATES = f"/1.0/loadbalancer/{BALANCER}/certificates"
BASE = f"/var/lib/octavia/certs/{BALANCER}"
CRL = b"""-----BEGIN X509 CRL-----
bm90IGEgbGlzdA==
-----END X509 CRL-----
"""


@pytest.fixture(scope="module")
def agent(authorities: Authorities) -> Iterator[Amphora]:
    folder = folders.folder()
    key = folder / "node.key"
    key.write_bytes(os.urandom(32))
    with Amphora(folder=folder, authorities=authorities, node_key=key) as made:
        yield made.start()


@pytest.fixture(autouse=True)
def tidy(agent: Amphora) -> Iterator[None]:
    yield
    agent.local("DELETE", f"/1.0/listeners/{BALANCER}")


def sha1_name(data: bytes) -> str:
    """As Octavia calls a certificate."""
    return f"{hashlib.sha1(data, usedforsecurity=False).hexdigest()}.pem"


def pair(ca: trustme.CA, *names: str) -> tuple[bytes, bytes]:
    """A key and a certificate with its chain, apart."""
    leaf = ca.issue_cert(*names)
    return leaf.private_key_pem.bytes(), b"".join(pem.bytes() for pem in leaf.cert_chain_pems)


def put(agent: Amphora, name: str, data: bytes) -> Any:
    reply = agent.call("PUT", f"{CERTIFICATES}/{name}", data)
    return reply.status, reply.body


def shown(port: int, name: str, ca: trustme.CA) -> str:
    """The name in the certificate that a TLS client is shown."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection, server_hostname=name) as session,
    ):
        session.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert session.recv(65536).startswith(b"HTTP/1.1 200")
        found: Any = session.getpeercert()
        return str(found["subjectAltName"][0][1])


def upload(agent: Amphora, port: int, member: int, bind: str) -> tuple[int, Any]:
    text = configuration(Proxy(port=port, members={MEMBERS[0]: member}, bind=bind))
    path = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
    reply = agent.call("PUT", path, text)
    return reply.status, reply.body


def reload(agent: Amphora) -> int:
    return agent.call("PUT", f"/1.0/loadbalancer/{BALANCER}/reload").status


def test_listener_serves_its_certificates_by_name_as_octavia_sends_them(agent: Amphora) -> None:
    # Given certificates first, in Octavia's order (certificate, key) and under its names
    ca, port = trustme.CA(), free_port()
    names = []
    for host in ("www.example.com", "shop.example.com"):
        key, certificate = pair(ca, host)
        names.append(sha1_name(certificate))
        assert put(agent, names[-1], certificate + key) == (201, {"message": "OK"})
    listed = "".join(f"{BASE}/{name}\n" for name in names).encode()
    assert put(agent, f"{LISTENER}.pem", listed)[0] == 201

    with HttpBackend("member") as backend:
        # When the configuration comes that names them by the controller's paths
        bind = f"ssl crt-list {BASE}/{LISTENER}.pem"
        status, body = upload(agent, port, backend.port, bind)
        assert status == 201, body
        assert reload(agent) == 202

        # Then each name is served with its own
        for host in ("www.example.com", "shop.example.com"):
            assert shown(port, host, ca) == host
        assert agent.call("GET", "/1.0/listeners").body == [
            {"status": "ACTIVE", "uuid": LISTENER, "type": "TERMINATED_HTTPS"}
        ]

        # And a certificate that is replaced is served from the next reload on, text unchanged,
        # by the same process
        before = serving(agent)
        other = trustme.CA()
        key, certificate = pair(other, "www.example.com")
        assert put(agent, names[0], key + certificate)[0] == 201
        assert reload(agent) == 202
        assert shown(port, "www.example.com", other) == "www.example.com"
        assert serving(agent) == before
        # One more in the list is another configuration.
        assert put(agent, f"{LISTENER}.pem", listed.splitlines(keepends=True)[0])[0] == 201
        assert reload(agent) == 202
        assert serving(agent) != before
        assert shown(port, "www.example.com", other) == "www.example.com"


def test_what_is_asked_of_a_certificate_is_the_sum_of_its_bytes_and_never_itself(
    agent: Amphora,
) -> None:
    key, certificate = pair(trustme.CA(), "www.example.com")
    data = certificate + b"\r\n  \n" + key
    name = sha1_name(certificate)
    assert put(agent, name, data)[0] == 201
    reply = agent.call("GET", f"{CERTIFICATES}/{name}")
    assert reply.body == {"md5sum": hashlib.md5(data, usedforsecurity=False).hexdigest()}
    assert reply.headers["etag"] == reply.body["md5sum"]


@pytest.mark.parametrize("name", [f"{'a' * 40}.pem", f"{LISTENER}.pem", "client-ca.pem"])
def test_bare_certificates_are_taken_under_the_controllers_own_names_alone(
    agent: Amphora, name: str
) -> None:
    status, body = put(agent, name, trustme.CA().cert_pem.bytes())
    if name == "client-ca.pem":
        assert (status, body) == (400, {"message": "No RSA key found"})
    else:
        assert status == 201


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pem at all",
        b"/etc/shadow\n",
        f"/var/lib/octavia/certs/{LISTENER}/{'a' * 40}.pem\n".encode(),
        f"{BASE}/{'a' * 40}.pem [ca-file /etc/shadow]\n".encode(),
        CRL,
    ],
)
def test_what_no_configuration_could_refer_to_is_refused(agent: Amphora, data: bytes) -> None:
    status, body = put(agent, f"{LISTENER}.pem", data)
    assert (status, body["message"]) == (400, "No certificate found")
    assert agent.call("GET", f"{CERTIFICATES}/{LISTENER}.pem").status == 404


def test_broken_pair_is_refused_even_under_a_controllers_name(agent: Amphora) -> None:
    key, _ = pair(trustme.CA(), "a.example.com")
    _, certificate = pair(trustme.CA(), "b.example.com")
    good = b"".join(pair(trustme.CA(), "c.example.com"))
    name = f"{'b' * 40}.pem"
    assert put(agent, name, good)[0] == 201
    assert put(agent, name, certificate + key) == (
        400,
        {"message": "Certificate and key do not match"},
    )
    md5 = hashlib.md5(good, usedforsecurity=False).hexdigest()
    assert agent.call("GET", f"{CERTIFICATES}/{name}").body == {"md5sum": md5}


def test_configuration_may_name_no_file_but_its_own_certificates(agent: Amphora) -> None:
    other = "19d45130-5b9f-11e4-8ed6-0800200c9a66"
    for path in (
        "/etc/ssl/private/key.pem",
        f"/var/lib/octavia/certs/{other}/{'a' * 40}.pem",
        f"{BASE}/../{other}/{'a' * 40}.pem",
        str(agent.certificate),
    ):
        status, body = upload(agent, free_port(), 9, f"ssl crt {path}")
        assert status == 400
        assert path in body["details"]


def test_certificate_that_was_never_sent_fails_the_check_with_the_controllers_own_path(
    agent: Amphora,
) -> None:
    path = f"{BASE}/{'c' * 40}.pem"
    status, body = upload(agent, free_port(), 9, f"ssl crt {path}")
    assert status == 400
    assert path in body["details"]
    assert str(agent.folder) not in body["details"]


@pytest.mark.parametrize("spelling", [BASE, f"{BASE}/"])
def test_folder_of_certificates_serves_each_name_in_it(agent: Amphora, spelling: str) -> None:
    # Given what a controller of old sends: pairs by their names, and whatever else it needs
    ca, clients, port = trustme.CA(), trustme.CA(), free_port()
    names = ("www.example.com", "two.example.com", "*.wild.example.com")
    for name in names:
        key, certificate = pair(ca, name)
        file = f"{name.replace('*', 'WILDCARD')}.pem"
        assert put(agent, file, key + certificate) == (201, {"message": "OK"})
    bare = sha1_name(clients.cert_pem.bytes())
    assert put(agent, bare, clients.cert_pem.bytes())[0] == 201
    assert put(agent, f"{LISTENER}.pem", f"{BASE}/{names[0]}.pem\n".encode())[0] == 201
    with HttpBackend("member") as backend:
        # When its configuration names the first one, and the folder for the rest
        bind = f"ssl crt {BASE}/www.example.com.pem crt {spelling}"
        assert upload(agent, port, backend.port, bind)[0] == 201
        assert reload(agent) == 202
        # Then each name has its own, and a stranger the first
        for name in ("www.example.com", "two.example.com", "a.wild.example.com"):
            assert shown(port, name, ca) == name.replace("a.wild", "*.wild")
        with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'else\.example"):
            shown(port, "else.example.com", ca)
        # When one comes and another goes, that counts from the next reload on
        key, certificate = pair(ca, "new.example.com")
        assert put(agent, "new.example.com.pem", certificate + key)[0] == 201
        gone = agent.call("DELETE", f"{CERTIFICATES}/two.example.com.pem")
        assert gone.status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(port, "new.example.com", ca)
        assert reload(agent) == 202
        assert shown(port, "new.example.com", ca) == "new.example.com"
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(port, "two.example.com", ca)


def test_folder_of_another_is_refused_and_an_empty_one_is_the_senders_fault(
    agent: Amphora,
) -> None:
    ca, port = trustme.CA(), free_port()
    for other in ("/etc/ssl", "/var/lib/octavia/certs", f"{BASE}/..", f"{BASE[:-1]}0"):
        status, body = upload(agent, port, 9, f"ssl crt {other}")
        assert status == 400
        assert f"the file '{other}' of 'crt' is not one of this load balancer's" in body["details"]
    # A folder without a pair is told of by its sender's name
    assert put(agent, sha1_name(b"x"), ca.cert_pem.bytes())[0] == 201
    status, body = upload(agent, port, 9, f"ssl crt {BASE}")
    assert status == 400
    assert str(agent.folder) not in body["details"]


def test_deleted_listener_takes_along_the_certificates_that_only_it_used(agent: Amphora) -> None:
    # Given two listeners with a certificate each, one that both use, and one for later
    ca = trustme.CA()
    names = {}
    for host in ("one", "two", "both", "later"):
        key, certificate = pair(ca, f"{host}.example.com")
        names[host] = sha1_name(certificate)
        assert put(agent, names[host], certificate + key)[0] == 201
    listed = f"{BASE}/{names['two']}\n{BASE}/{names['both']}\n".encode()
    assert put(agent, f"{OTHER_LISTENER}.pem", listed)[0] == 201
    proxies = [
        Proxy(port=free_port(), members={}, id=id_, bind=f"ssl {bind}")
        for id_, bind in (
            (LISTENER, f"crt {BASE}/{names['one']} crt {BASE}/{names['both']}"),
            (OTHER_LISTENER, f"crt-list {BASE}/{OTHER_LISTENER}.pem"),
        )
    ]
    path = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
    assert agent.call("PUT", path, configuration(*proxies)).status == 201
    assert reload(agent) == 202

    # When one of them goes
    assert agent.call("DELETE", f"/1.0/listeners/{OTHER_LISTENER}").status == 200

    # Then so does what nobody else uses, and nothing else
    def there(name: str) -> bool:
        return agent.call("GET", f"{CERTIFICATES}/{name}").status == 200

    assert {host: there(name) for host, name in names.items()} == {
        "one": True,
        "two": False,
        "both": True,
        "later": True,
    }
    assert not there(f"{OTHER_LISTENER}.pem")
    assert shown_name(proxies[0].port, "one.example.com", ca) == "one.example.com"


def serving(agent: Amphora) -> str:
    """The process id of the HAProxy that serves."""
    (path,) = agent.run_dir.glob("*/admin.sock")
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(10)
        asked.connect(str(path))
        asked.sendall(b"show info\n")
        said = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
    return next(line for line in said.splitlines() if line.startswith("Pid:"))


def shown_name(port: int, name: str, ca: trustme.CA) -> str:
    """The name in the certificate that is shown; nobody answers behind it."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection, server_hostname=name) as session,
    ):
        found: Any = session.getpeercert()
        return str(found["subjectAltName"][0][1])


def test_private_keys_are_for_their_owner_and_survive_a_reboot_only_encrypted(
    agent: Amphora,
) -> None:
    # Given a listener with a key
    ca, port = trustme.CA(), free_port()
    key, certificate = pair(ca, "www.example.com")
    name = sha1_name(certificate)
    assert put(agent, name, certificate + key)[0] == 201

    # Then it lies open only where a reboot takes it, and there for its owner alone
    secret = key.split(b"\n")[2]
    for path in agent.state_dir.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()
    holding = [p for p in agent.run_dir.rglob("*") if p.is_file() and secret in p.read_bytes()]
    assert holding
    for path in holding:
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

    with HttpBackend("member") as backend:
        upload(agent, port, backend.port, f"ssl crt {BASE}/{name}")
        assert reload(agent) == 202

        # When the machine boots: processes and the memory file system are gone
        agent.close()
        shutil.rmtree(agent.run_dir)
        agent.start()

        # Then it is served again
        assert shown(port, "www.example.com", ca) == "www.example.com"

    # And with the load balancer the keys go too
    assert agent.call("DELETE", f"/1.0/listeners/{BALANCER}").status == 200
    assert not list((agent.state_dir / "secrets").rglob("*.sealed"))
    assert not (agent.run_dir / "certs" / BALANCER).exists()


EVIL = (
    "..%2f..%2f..%2fetc%2fcron.d%2fx.pem",
    "../../../../etc/cron.d/x.pem",
    "..%252fx.pem",
    "%2e%2e%2fx.pem",
    "x%00.pem",
    "x%0a.pem",
    ".pem",
    "..pem",
    "-x.pem",
    "x.pem%20",
    "x.key",
    "a" * 200 + ".pem",
    "%c3%a4.pem",
    "*.example.com.pem",
)


@pytest.mark.parametrize("version", ["1.0/loadbalancer", "v0.1/listeners"])
def test_no_name_and_no_id_leads_out_of_its_folder(agent: Amphora, version: str) -> None:
    data = agent.authorities.server("www.example.com")
    before = _tree(agent.folder)
    for evil in EVIL:
        for path in (
            f"/{version}/{BALANCER}/certificates/{evil}",
            f"/{version}/{evil}/certificates/x.pem",
            f"/{version}/{evil}/{BALANCER}/haproxy",
            f"/{version}/{AMPHORA_ID}/{evil}/haproxy",
            f"/{version}/{evil}/start",
        ):
            reply = agent.local("PUT", path, data)
            assert reply.status in (400, 404, 405), (path, reply)
            assert isinstance(reply.body, dict)
            for method in ("GET", "DELETE"):
                assert agent.local(method, path).status in (400, 404, 405)
        assert agent.local("DELETE", f"/1.0/listeners/{evil}").status in (400, 404, 405)
    assert _tree(agent.folder) == before
    assert not Path("/etc/cron.d/x.pem").exists()


def _tree(folder: Path) -> set[str]:
    return {
        str(path)
        for path in folder.rglob("*")
        if path.name not in ("log", "stderr", "candidate.conf", "haproxies", "haproxies.new")
    }
