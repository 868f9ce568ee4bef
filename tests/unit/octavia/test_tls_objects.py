"""Certificates are read, checked and named; what cannot be used is refused and shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from libra_octavia.files import files
from libra_octavia.objects import Unsupported, read_listener, read_pool
from libra_octavia.render import Place, render
from libra_octavia.tls import Version
from libra_octavia.translate import translate
from tests.support.octavia_tls import (
    authority,
    authority_pem,
    clients,
    container,
    issued,
    revocations,
)
from tests.support.octavia_trees import listener, member, pool, tree
from tests.unit.octavia.test_objects import refused

LB = "2b6f8d3c-15e4-4d9a-9b6e-2f4f4a3c1d77"
ID = "8d5f1c62-7d3e-4a0b-8f57-0d6f0f6d2a11"


def https(**fields: Any) -> dict[str, Any]:
    """A listener that ends TLS."""
    return listener(
        **{
            "listener_id": ID,
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "www",
            "default_tls_container_data": container("www.example.org"),
            **fields,
        }
    )


CLIENTS: dict[str, Any] = {
    "client_ca_tls_container_ref": "ca",
    "client_ca_tls_container_data": authority_pem(clients()),
    "client_authentication": "MANDATORY",
}


def test_a_key_is_opened_with_its_passphrase_and_written_without_one() -> None:
    locked = container("www.example.org", locked_by="ä b")
    found = read_listener(https(default_tls_container_data=locked)).tls
    assert found is not None
    (pem,) = found.certificates
    assert b"ENCRYPTED" in locked["private_key"].encode()
    assert b"ENCRYPTED" not in pem.content
    load_pem_private_key(pem.content, None)


def test_intermediates_stand_behind_their_certificate() -> None:
    below = container("below.example.org", signer="between")
    assert below["intermediates"]
    found = read_listener(https(default_tls_container_data=below)).tls
    assert found is not None
    text = found.certificates[0].content.decode()
    assert text.index(below["certificate"].split()[3]) < text.index(
        below["intermediates"][0].split()[3]
    )


def test_a_new_certificate_has_the_name_of_the_old_one() -> None:
    one = read_listener(https()).tls
    two = read_listener(https(default_tls_container_data=container("new.example.org"))).tls
    assert one is not None
    assert two is not None
    assert one.certificates[0].name == two.certificates[0].name
    assert one.certificates[0].content != two.certificates[0].content


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"default_tls_container_data": None}, "default_tls_container_ref"),
        ({"default_tls_container_data": "text"}, "default_tls_container_ref"),
        (
            {"default_tls_container_data": container("a.org") | {"private_key": None}},
            "default_tls_container_ref",
        ),
        (
            {"default_tls_container_data": container("a.org") | {"certificate": "no PEM"}},
            "default_tls_container_ref",
        ),
        (
            {
                "default_tls_container_data": container("a.org")
                | {"private_key": container("b.org")["private_key"]}
            },
            "default_tls_container_ref",
        ),
        (
            {
                "default_tls_container_data": container("a.org", locked_by="right")
                | {"passphrase": "wrong"}
            },
            "default_tls_container_ref",
        ),
        (
            {"default_tls_container_data": container("a.org", locked_by="x") | {"passphrase": ""}},
            "default_tls_container_ref",
        ),
        ({"sni_container_refs": ["a"]}, "sni_container_refs"),
        (
            {"sni_container_refs": ["a"], "sni_container_data": [{"certificate": ""}]},
            "sni_container_refs",
        ),
        ({"client_authentication": "OPTIONAL"}, "client_authentication"),
        ({**CLIENTS, "client_ca_tls_container_data": "none"}, "client_ca_tls_container_ref"),
        ({**CLIENTS, "client_crl_container_ref": "crl"}, "client_crl_container_ref"),
        (
            {
                **CLIENTS,
                "client_crl_container_ref": "crl",
                "client_crl_container_data": authority_pem(clients()),
            },
            "client_crl_container_ref",
        ),
        ({"tls_versions": ["SSLv3"]}, "tls_versions"),
        ({"tls_versions": ["TLSv1", "TLSv1.2"]}, "tls_versions"),
        ({"tls_ciphers": "A\nB"}, "tls_ciphers"),
        ({"tls_ciphers": "NO:SUCH"}, "tls_ciphers"),
        ({"tls_ciphers": "TLS_NO_SUCH"}, "tls_ciphers"),
        ({"alpn_protocols": ["h3"]}, "alpn_protocols"),
        ({"hsts_max_age": -1}, "hsts_max_age"),
        ({"hsts_preload": True}, "hsts_preload"),
    ],
)
def test_what_cannot_be_used_of_tls_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    said = refused(read_listener, https(**fields), named)
    assert "-----" not in said


@pytest.mark.parametrize(
    "fields",
    [
        {"default_tls_container_ref": "www"},
        {"sni_container_refs": ["www"]},
        {"client_ca_tls_container_ref": "ca"},
        {"client_authentication": "MANDATORY"},
        {"hsts_max_age": 10},
    ],
)
def test_listeners_that_end_no_tls_take_none_of_it(fields: dict[str, Any]) -> None:
    (named,) = fields
    assert refused(read_listener, listener(**fields), named)


def test_an_update_is_read_without_the_certificates_of_before() -> None:
    without = https(default_tls_container_data=None, client_authentication="MANDATORY")
    assert read_listener(without, whole=False)
    with pytest.raises(Unsupported):
        read_listener(without)


def test_versions_and_ciphers_are_told_apart() -> None:
    names = "TLS_AES_256_GCM_SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    found = read_listener(https(tls_ciphers=names, tls_versions=["TLSv1.3", "TLSv1.2"])).tls
    assert found is not None
    assert (found.spoken.oldest, found.spoken.newest) == (Version.V1_2, Version.V1_3)
    assert found.spoken.ciphers == "ECDHE-RSA-AES256-GCM-SHA384"
    assert found.spoken.suites == "TLS_AES_256_GCM_SHA384"


def test_options_of_tls_of_a_pool_are_read() -> None:
    found = read_pool(
        pool(
            tls_enabled=True,
            tls_container_data=container("device.org"),
            ca_tls_container_data=authority_pem(authority()),
            crl_container_data=revocations(issued("a.org"), by=authority()),
            alpn_protocols=["h2"],
        )
    ).tls
    assert found is not None
    assert len(found.pems) == len({pem.name for pem in found.pems}) == 3
    assert found.spoken.alpn == ("h2",)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tls_container_ref": "a"}, "tls_container_ref"),
        ({"ca_tls_container_data": "x"}, "ca_tls_container_ref"),
        (
            {"crl_container_data": revocations(issued("a.org"), by=authority())},
            "crl_container_ref",
        ),
        ({"tls_versions": ["SSLv3"]}, "tls_versions"),
    ],
)
def test_what_a_pool_cannot_have_of_tls_is_refused_by_name(
    fields: dict[str, Any], named: str
) -> None:
    assert refused(read_pool, pool(tls_enabled=True, **fields), named)


def test_the_files_are_those_that_the_text_names_and_lists_come_last() -> None:
    behind = pool(
        pool_id="p",
        members=[member()],
        tls_enabled=True,
        tls_container_data=container("device.org"),
        ca_tls_container_data=authority_pem(authority()),
    )
    front = https(
        **CLIENTS,
        default_pool_id="p",
        sni_container_refs=["below"],
        sni_container_data=[container("below.example.org", signer="between")],
        client_crl_container_data=revocations(),
    )
    balancer = translate(tree([front], [behind], loadbalancer_id=LB))
    text, found = render(balancer, Place()), files(balancer)
    folder = f"/var/lib/octavia/certs/{LB}"
    named = {word.rpartition("/")[2] for word in text.split() if word.startswith(folder)}
    *pems, last = found
    assert last == f"{ID}.pem"
    listed = found[last].decode().splitlines()
    assert len(listed) == 2
    named |= {line.removeprefix(f"{folder}/") for line in listed}
    assert named == set(found)
    assert all(b"-----BEGIN" in found[name] for name in pems)
    assert files(balancer) == found


def test_what_is_down_needs_no_file() -> None:
    assert not files(translate(tree([https(admin_state_up=False)], [])))


def test_nothing_shows_what_is_in_a_file() -> None:
    balancer = translate(tree([https()], [], loadbalancer_id=LB))
    secret = container("www.example.org")["private_key"].split()[3]
    for shown in (repr(balancer), str(balancer), repr(files(balancer)), render(balancer, Place())):
        assert "-----" not in shown
        assert secret not in shown
