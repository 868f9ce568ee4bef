"""Octavia's own driver, client, templates and health manager drive a node, unchanged."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from libra_amphora import lvs_config
from libra_amphora.ip_vs import IpVs
from libra_amphora.keepalived_process import CHECKERS, KeepalivedProcess
from libra_amphora.namespace import Namespace
from tests.support import need, netns, octavia, octavia_env, wait
from tests.support.octavia import Site, pair_of
from tests.support.octavia_controller import OctaviaError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=[octavia_env.NEWEST, octavia_env.OLDEST])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with octavia.site(release=request.param) as made:
        made.add_balancer()
        (node,) = made.nodes
        made.controller.do("wait_for_node", amphora=node.id)
        made.plug(node)
        yield made


def get(site: Site, port: int, path: str = "/") -> tuple[int, str]:
    """A client's request to the load balancer."""

    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection(octavia.VIP, port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    return site.among_clients(ask)  # type: ignore[no-any-return]


def get_tls(
    site: Site, port: int, *, name: str, ca: trustme.CA, client: Path | None = None
) -> tuple[str, bool]:
    """A client's request by TLS; gives the common name served and whether `secure` answered."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client is not None:
        context.load_cert_chain(client)

    def ask() -> tuple[str, bool]:
        request = f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode()
        with (
            socket.create_connection((octavia.VIP, port), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            connection.sendall(request)
            body = b"".join(iter(lambda: connection.recv(4096), b""))
            certificate: Any = connection.getpeercert()
        names = dict(part[0] for part in certificate["subject"])
        return names["commonName"], body.endswith(b"secure")

    return site.among_clients(ask)  # type: ignore[no-any-return]


def answered(ask: Callable[[], tuple[int, str]]) -> Callable[[], tuple[int, str] | None]:
    """The answer, or None where there is none yet."""

    def maybe() -> tuple[int, str] | None:
        try:
            return ask()
        except OSError:
            return None

    return maybe


def test_new_node_is_found_and_plugged(site: Site) -> None:
    (node,) = site.nodes
    info = site.controller.do("wait_for_node", amphora=node.id)
    assert info["api_version"] == "1.0"
    assert netns.addresses(node.namespace, "newv") == {"203.0.113.10/24", "203.0.113.2/32"}
    assert netns.addresses(node.namespace, "newm") == {"198.18.0.10/24"}
    # A flow that is run again does no harm
    site.plug(node)


def test_http_listener_serves_members_that_come_and_go(site: Site) -> None:
    with site.backend("one") as one, site.backend("two") as two:
        pool = site.add_pool(monitor="HTTP")
        first = site.add_member(pool, one)
        listener = site.add_listener(port=80, pool=pool)
        # When the listener is created
        site.update()
        # Then it serves
        wait.until(lambda: get(site, 80) == (200, "one"), "the first member serves")
        # When a member comes
        site.add_member(pool, two)
        site.update()
        wait.until(
            lambda: {get(site, 80)[1] for _ in range(4)} == {"one", "two"}, "both members serve"
        )
        # When the first goes
        site.controller.do("remove", table="Member", key=first)
        site.update()
        assert {get(site, 80) for _ in range(6)} == {(200, "two")}
        # When the listener is deleted, nothing of it is left
        site.controller.do("delete_listener", listener=listener)
        wait.until(lambda: answered(lambda: get(site, 80))() is None, "nothing serves")
        (node,) = site.nodes
        assert (
            site.controller.do("ask", amphora=node.id, call="get_all_listeners", arguments=[]) == []
        )


def test_l7_policies_choose_pools_and_redirect(site: Site) -> None:
    with site.backend("shop") as shop, site.backend("static") as static:
        pool, other = site.add_pool(), site.add_pool()
        site.add_member(pool, shop)
        site.add_member(other, static)
        listener = site.add_listener(port=81, pool=pool)
        site.add_policy(
            listener, path="/static", action="REDIRECT_TO_POOL", redirect_pool_id=other, position=1
        )
        site.add_policy(listener, path="/private", action="REJECT", position=2)
        site.update()
        assert get(site, 81) == (200, "shop")
        assert get(site, 81, "/static/a.css") == (200, "static")
        assert get(site, 81, "/private")[0] == 403
        site.controller.do("delete_listener", listener=listener)


def test_tcp_listener_serves_and_another_stays_when_it_goes(site: Site) -> None:
    with site.backend("tcp") as backend, site.backend("http") as other:
        pool, stays = site.add_pool(protocol="TCP", monitor="TCP"), site.add_pool()
        site.add_member(pool, backend)
        site.add_member(stays, other)
        listener = site.add_listener(port=3306, pool=pool, protocol="TCP")
        left = site.add_listener(port=82, pool=stays)
        site.update()
        assert get(site, 3306) == (200, "tcp")
        assert get(site, 82) == (200, "http")
        site.controller.do("delete_listener", listener=listener)
        wait.until(lambda: answered(lambda: get(site, 3306))() is None, "nothing serves there")
        assert get(site, 82) == (200, "http")
        site.controller.do("delete_listener", listener=left)


def test_tls_listener_serves_names_and_wants_clients_certificates(
    site: Site, tmp_path: Path
) -> None:
    # Given certificates for two names, and an authority of clients
    ca, clients = trustme.CA(), trustme.CA()
    references = [
        site.controller.secret(*pair_of(ca, name))
        for name in ("www.example.com", "two.example.com")
    ]
    with site.backend("secure") as backend:
        pool = site.add_pool()
        site.add_member(pool, backend)
        listener = site.add_listener(
            port=443,
            pool=pool,
            protocol="TERMINATED_HTTPS",
            tls_certificate_id=references[0],
            client_ca_tls_certificate_id=site.controller.secret(clients.cert_pem.bytes()),
            client_authentication="MANDATORY",
            tls_versions=["TLSv1.2", "TLSv1.3"],
        )
        sni = {"listener_id": listener, "tls_container_id": references[1], "position": 1}
        site.controller.do("add", rows=[("SNI", sni)])
        site.update()
        # Then each name has its own, for clients of the authority
        known = tmp_path / "client.pem"
        known.write_bytes(clients.issue_cert("c").private_key_and_cert_chain_pem.bytes())
        for name in ("www.example.com", "two.example.com"):
            assert get_tls(site, 443, name=name, ca=ca, client=known) == (name, True)
        # And nobody else gets through
        with pytest.raises((ssl.SSLError, OSError)):
            get_tls(site, 443, name="www.example.com", ca=ca)
        site.controller.do("delete_listener", listener=listener)


@pytest.mark.parametrize(("protocol", "monitor"), [("UDP", "UDP-CONNECT"), ("SCTP", "SCTP")])
def test_udp_listener_is_understood_and_refused_where_the_kernel_has_no_ip_vs(
    site: Site, tmp_path: Path, protocol: str, monitor: str
) -> None:
    if IpVs(Namespace("")).why_not() is None:
        pytest.skip("this kernel has IP_VS")
    (node,) = site.nodes
    with site.backend("member") as member:
        pool = site.add_pool(protocol=protocol, monitor=monitor)
        kept = site.add_member(pool, member, weight=3)
        disabled = site.add_member(pool, member, ip_address="198.18.0.9", enabled=False)
        listener = site.add_listener(port=53, pool=pool, protocol=protocol)
    # Given what Octavia writes for it, which keepalived takes
    config = lvs_config.read(site.controller.do("lvs_text", listener=listener).encode())
    (service,) = config.services
    assert (config.pool, config.disabled, config.checked) == (pool, (disabled,), True)
    assert service.protocol == protocol
    assert service.places == ((octavia.address(octavia.VIP), 53),)
    assert [one.id for one in service.servers] == [kept]
    file = tmp_path / "keepalived.conf"
    file.write_text(config.to_check())
    KeepalivedProcess(
        program=Path(need.program("keepalived")),
        run_dir=tmp_path,
        inside=lambda start: start(),
        part=CHECKERS,
    ).check(file)
    # When its controller sends it, it is told why not, and nothing is kept
    with pytest.raises(OctaviaError, match="InvalidRequest"):
        site.update()
    assert (
        "the kernel has no IP_VS"
        in node.local("PUT", f"/1.0/listeners/{node.id}/{listener}/udp_listener", config.text).body[
            "details"
        ]
    )
    assert node.local("GET", f"/1.0/listeners/{listener}/udp_listener").status == 404
    for table, key in (("Listener", listener), ("Member", kept), ("Member", disabled)):
        site.controller.do("remove", table=table, key=key)


def test_agent_is_given_a_new_certificate_and_settings(site: Site) -> None:
    (node,) = site.nodes
    pem = node.authorities.server(node.id).decode()
    site.controller.do("rotate_certificate", amphora=node.id, pem=pem)
    assert node.certificate.read_text().strip() == pem.strip()
    text = node.config.read_text().replace(
        "[health_manager]", "[health_manager]\nheartbeat_interval = 3"
    )
    site.controller.do("configure", amphora=node.id, text=text)
    site.controller.do("wait_for_node", amphora=node.id)


def test_rules_of_a_direct_port_are_put(site: Site) -> None:
    if site.release == octavia_env.OLDEST:
        pytest.skip("this release of Octavia knows no rules")
    (node,) = site.nodes
    rules = [{"protocol": "TCP", "cidr": None, "port": port} for port in range(79, 84)]
    site.controller.do("set_rules", amphora=node.id, address=octavia.OWN[0], rules=rules)
    assert "tcp dport 82 accept" in netns.inside(node.namespace, "nft", "list", "ruleset")
    netns.inside(node.namespace, "nft", "flush", "ruleset")
    # Octavia takes a 404 for "cannot do that".
    with pytest.raises(OctaviaError, match="AmpDriverNotImplementedError"):
        site.controller.do("set_rules", amphora=node.id, address="203.0.113.99", rules=rules)


def test_details_are_those_that_the_controller_reads(site: Site) -> None:
    (node,) = site.nodes
    found = site.controller.do("ask", amphora=node.id, call="get_details", arguments=[])
    assert (
        found["memory"]["free"] + found["memory"]["buffers"] + found["memory"]["cached"] <= 1 << 20
    )
    assert all(isinstance(value, int) for value in found["memory"].values())
    assert isinstance(found["cpu_count"], int)
    assert "active_tuned_profiles" in found
    assert int(found["haproxy_version"].split(".")[0]) >= 2
