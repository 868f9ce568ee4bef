"""The agent's small parts: settings, gate, vault, peer names, counters, topology's words."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from libra_amphora.api.balancers import peer_name
from libra_amphora.api.base import Json, Refused
from libra_amphora.api.topology import TopologyBody, understood
from libra_amphora.conf import read
from libra_amphora.errors import TransitionInProgress
from libra_amphora.gate import Gate
from libra_amphora.growing import Growing
from libra_amphora.vault import BadNodeKey, Vault
from libra_common.errors import SettingsError

OCTAVIAS = """\
[DEFAULT]
debug = True
use_syslog = True
syslog_log_facility = LOG_LOCAL1

[haproxy_amphora]
base_cert_dir = /var/lib/octavia/certs
base_path = /var/lib/octavia
bind_host = ::
bind_port = 9443
haproxy_cmd = /usr/sbin/haproxy
user_log_facility = 0
administrative_log_facility = 1

[health_manager]
controller_ip_port_list = 192.0.2.10:5555, [2001:db8::1]:5555
heartbeat_interval = 10
heartbeat_key = insecure

[amphora_agent]
agent_server_ca = /etc/octavia/certs/client_ca.pem
agent_server_cert = /etc/octavia/certs/server.pem
agent_request_read_timeout = 180
amphora_id = 6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce
amphora_udp_driver = keepalived_lvs
agent_tls_protocol = TLSv1.2

[controller_worker]
loadbalancer_topology = ACTIVE_STANDBY
"""


def settings_file(folder: Path, text: str, name: str = "agent.conf") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_octavias_own_file_is_read_as_it_stands(tmp_path: Path) -> None:
    settings = read([settings_file(tmp_path, OCTAVIAS)])
    assert settings.agent.amphora_id == "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
    assert list(map(str, settings.health.controller_ip_port_list)) == [
        "192.0.2.10:5555",
        "[2001:db8::1]:5555",
    ]
    assert settings.controller.loadbalancer_topology == "ACTIVE-STANDBY"
    assert settings.default.log_level == "debug"


def test_only_what_may_change_is_taken_from_a_new_file(tmp_path: Path) -> None:
    old = read([settings_file(tmp_path, OCTAVIAS)])
    changed = OCTAVIAS.replace("= insecure", "= other").replace("9443", "1")
    new = old.with_mutable(read([settings_file(tmp_path, changed)]))
    assert new.health.heartbeat_key == "other"
    assert new.haproxy.bind_port == 9443


def test_every_fault_of_a_file_is_told_and_no_secret(tmp_path: Path) -> None:
    bad = OCTAVIAS.replace("= 10\n", "= often\n").replace("6e2b", "zz")
    path = settings_file(tmp_path, bad + "[libra_amphora]\nnonsense = 1\n")
    with pytest.raises(SettingsError, match="nonsense is no setting"):
        read([path])
    path = settings_file(tmp_path, bad.replace("= insecure", "= in-$secure"))
    with pytest.raises(SettingsError) as error:
        read([path])
    told = str(error.value)
    assert "heartbeat_interval" in told
    assert "amphora_id" in told
    assert "heartbeat_key" in told
    assert "secure" not in told.replace("heartbeat_key = ***", "")


def test_amphora_without_an_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="amphora_id"):
        read([settings_file(tmp_path, "[amphora_agent]\n")])


# -- peer names -----------------------------------------------------------------------------------


def test_peer_name_is_the_one_that_controllers_write_into_peers_sections() -> None:
    # Octavia's own function gives these for these ids.
    assert peer_name("6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce") == _octavias(
        "6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce"
    )
    for number in range(300):
        name = peer_name(f"{number:08x}-2548-4fb7-a5f0-fb1ef4a696ce")
        assert len(name) == 27
        assert not name.startswith("-")


def _octavias(amphora_id: str) -> str:
    import base64
    import hashlib

    digest = hashlib.sha1(amphora_id.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode().translate(str.maketrans("+/", "_-")).rstrip("=")


# -- the gate -------------------------------------------------------------------------------------


def test_transition_keeps_changes_out_and_waits_for_those_before_it() -> None:
    gate, inside, leave = Gate(), threading.Event(), threading.Event()

    def change() -> None:
        with gate.change():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=change)
    thread.start()
    assert inside.wait(30)
    gate.begin()
    assert not gate.wait(0.01)
    with pytest.raises(TransitionInProgress), gate.change():
        pass
    with pytest.raises(TransitionInProgress):
        gate.begin()
    leave.set()
    assert gate.wait(30)
    gate.end()
    with gate.change():
        pass
    thread.join(30)


# -- the vault ------------------------------------------------------------------------------------


def test_secret_is_on_disk_only_encrypted_and_for_its_owner(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    vault = Vault(directory=tmp_path / "vault", key_file=key)
    vault.keep("certificates/a/b.pem", b"a private key")

    again = Vault(directory=tmp_path / "vault", key_file=key)
    assert again.secret("certificates/a/b.pem") == b"a private key"
    assert list(again.names("certificates")) == ["certificates/a/b.pem"]
    (path,) = (tmp_path / "vault").rglob("*.sealed")
    assert b"private" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600

    # Under another key, another name, or with a bit turned, it is nothing.
    key.write_bytes(b"x" * 32)
    assert Vault(directory=tmp_path / "vault", key_file=key).secret("certificates/a/b.pem") is None
    path.rename(path.with_name("c.pem.sealed"))
    assert again.secret("certificates/a/c.pem") is None
    again.forget("certificates/a/c.pem")
    assert list(again.names("certificates")) == []


def test_without_a_node_key_nothing_is_kept(tmp_path: Path) -> None:
    vault = Vault(directory=tmp_path / "vault", key_file=None)
    vault.keep("x", b"secret")
    assert vault.secret("x") is None
    assert not (tmp_path / "vault").exists()


def test_node_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"short")
    with pytest.raises(BadNodeKey, match="shorter than 32"):
        Vault(directory=tmp_path, key_file=key)
    with pytest.raises(BadNodeKey):
        Vault(directory=tmp_path, key_file=tmp_path / "none")


# -- counters -------------------------------------------------------------------------------------


def test_counter_only_grows_over_processes_that_begin_anew() -> None:
    growing = Growing()
    assert [growing.seen(("a", "f"), value) for value in (3, 5, 0, 2, 1)] == [3, 5, 5, 7, 8]
    assert growing.seen(("b", "f"), 1) == 1
    growing.forget("a")
    assert growing.seen(("a", "f"), 1) == 1


# -- topology -------------------------------------------------------------------------------------

WISH = {
    "topology": "ACTIVE_STANDBY",
    "role": "active",
    "ha_ip": " 203.0.113.2",
    "secret": "b20e06cf1abcf29c708d3b437f4a29892a0921d0",
}


def asked(**fields: object) -> tuple[str, str | None, str | None]:
    body = TopologyBody.model_validate({**WISH, **fields})
    wish = understood(body)
    return wish.topology, wish.role, str(wish.ha_ip) if wish.ha_ip else None


def test_topology_is_understood_in_both_spellings_and_the_space_is_stripped() -> None:
    expected = ("ACTIVE-STANDBY", "ACTIVE", "203.0.113.2")
    assert asked() == expected
    assert asked(topology="ACTIVE-STANDBY") == expected
    assert asked(topology="SINGLE") == ("SINGLE", None, None)


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"topology": "BAD_TEST_DATA"}, "Unknown topology: BAD_TEST_DATA"),
        ({"role": "BOSS"}, "Unknown role: BOSS"),
        ({"ha_ip": "203.0.113.2.1"}, "Bad ha_ip: 203.0.113.2.1"),
        ({"ha_ip": "fe80::1%eth0"}, "Bad ha_ip: fe80::1%eth0"),
        ({"secret": None, "role": None}, "Missing parameter: role; Missing parameter: secret"),
    ],
)
def test_every_wrong_parameter_is_named(fields: dict[str, object], details: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(**fields)
    assert (refused.value.status, refused.value.body["details"]) == (400, details)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"topology": 1}', b'{"topology": NaN}', b"[" * 100_000, b"\xff"]
)
def test_body_that_is_no_such_object_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Json(TopologyBody).read(data)
    assert (refused.value.status, refused.value.body["message"]) == (400, "Invalid request")
