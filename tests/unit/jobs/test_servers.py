"""Servers and TLS files as settings name them."""

from __future__ import annotations

import contextlib
import ipaddress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from libra_common.errors import SettingsError
from libra_common.jobs import GearmanServer, parse_server, tls_from

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True)
HOSTS = NAMES | st.ip_addresses().map(str)
PORTS = st.integers(1, 65535)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("gear.example:4731", GearmanServer("gear.example", 4731)),
        ("gear.example", GearmanServer("gear.example", 4730)),
        ("192.0.2.1:1", GearmanServer("192.0.2.1", 1)),
        ("[::1]:4730", GearmanServer("::1", 4730)),
        ("[::1]", GearmanServer("::1", 4730)),
        ("::1", GearmanServer("::1", 4730)),
        ("fe80::1%eth0", GearmanServer("fe80::1%eth0", 4730)),
        ("  gear:4730 ", GearmanServer("gear", 4730)),
    ],
)
def test_every_usual_spelling_is_understood(text: str, server: GearmanServer) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ":", ":4730", "host:", "host:0", "host:65536", "host:-1", "host:x", "h:٤٧٣٠"),
        *("[::1", "[::1]4730", "[host]:1", "::1:x:", "1:2:3", "a b", "http://h:1", "h/1", "[]"),
        *("-h", "host:99999999999999999999", "host\n:1", "host:1 2"),
    ],
)
def test_a_malformed_server_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_server(text)
    assert repr(text) in str(caught.value)


@given(HOSTS, PORTS)
def test_what_a_server_prints_as_reads_back_as_the_same(host: str, port: int) -> None:
    server = GearmanServer(host, port)
    assert parse_server(str(server)) == server


@given(st.text(max_size=40))
def test_any_text_gives_a_usable_server_or_a_clear_refusal(text: str) -> None:
    with contextlib.suppress(SettingsError):
        server = parse_server(text)
        assert server.host
        assert 0 < server.port < 65536
        if ":" in server.host:
            ipaddress.IPv6Address(server.host)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    ours = authority.issue_cert("node.example")
    other = authority.issue_cert("other.example")
    locked = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    contents = {
        "key": ours.private_key_pem.bytes(),
        "cert": ours.cert_chain_pems[0].bytes(),
        "ca": authority.cert_pem.bytes(),
        "other_key": other.private_key_pem.bytes(),
        "locked": locked,
        "empty": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents} | {"absent": str(folder / "absent")}


def test_no_tls_setting_is_plain_tcp() -> None:
    assert tls_from(None, None, None) is None
    assert tls_from("", "", "") is None


def test_three_usable_files_are_tls(files: dict[str, str]) -> None:
    tls = tls_from(files["key"], files["cert"], files["ca"])
    assert tls is not None
    assert tls.ca == Path(files["ca"])


@pytest.mark.parametrize("left_out", ["key", "cert", "ca"])
@pytest.mark.parametrize("emptiness", [None, ""])
def test_one_tls_setting_missing_refuses_instead_of_falling_back_to_plain_text(
    files: dict[str, str], left_out: str, emptiness: str | None
) -> None:
    given_files: dict[str, str | None] = {name: files[name] for name in ("key", "cert", "ca")}
    given_files[left_out] = emptiness
    with pytest.raises(SettingsError, match=f"ssl_{left_out}"):
        tls_from(**given_files)


@pytest.mark.parametrize(
    ("key", "cert", "ca", "named"),
    [
        ("absent", "cert", "ca", "ssl_key"),
        ("key", "absent", "ca", "ssl_cert"),
        ("key", "cert", "absent", "ssl_ca"),
        ("key", "cert", "empty", "ssl_ca"),
        ("key", "empty", "ca", "ssl_cert"),
        ("other_key", "cert", "ca", "ssl_key"),
        ("locked", "cert", "ca", "ssl_key"),
    ],
)
def test_an_unusable_tls_file_is_refused_by_the_name_of_its_setting(
    files: dict[str, str], key: str, cert: str, ca: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        tls_from(files[key], files[cert], files[ca])
