"""The pure parts of the OpenStack cloud: states, addresses, marks, user_data."""

from __future__ import annotations

import base64
import configparser
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from novaclient import exceptions as nova_errors

from libra_amphora.conf import read as read_agent_settings
from libra_common.errors import SettingsError
from libra_common.settings import HostPort, Settings, load
from libra_pool_mgm.clouds.base import AgentWish, Device, DeviceState
from libra_pool_mgm.clouds.errors import BadRequest, Conflict, Unauthorized
from libra_pool_mgm.clouds.nova import make_cloud
from libra_pool_mgm.clouds.nova.addresses import _MARK, mark_text
from libra_pool_mgm.clouds.nova.ports import _MARK as PORT_MARK
from libra_pool_mgm.clouds.nova.ports import mark_text as port_mark
from libra_pool_mgm.clouds.nova.servers import Servers, address_of, state_of
from libra_pool_mgm.clouds.nova.userdata import user_data, with_extra

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack")

KEY = "eaf1fef0-1584-11e3-b42b-02163e192df9"
NAME = f"libra-stg-haproxy-{KEY}"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.delenv("OS_CLOUD", raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "none.yaml"))
    return load([], prog="libra_pool_mgm")


# -- states and addresses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "state"),
    [
        ({"status": "BUILD", "OS-EXT-STS:task_state": "spawning"}, DeviceState.BUILDING),
        ({"status": "ACTIVE", "OS-EXT-STS:task_state": None}, DeviceState.ACTIVE),
        ({"status": "ACTIVE", "OS-EXT-STS:task_state": "deleting"}, DeviceState.DELETING),
        ({"status": "BUILD", "OS-EXT-STS:task_state": "deleting"}, DeviceState.DELETING),
        ({"status": "ERROR", "OS-EXT-STS:task_state": None}, DeviceState.FAILED),
        ({"status": "ERROR", "OS-EXT-STS:task_state": "deleting"}, DeviceState.FAILED),
        ({"status": "DELETED"}, DeviceState.DELETING),
        ({"status": "SHUTOFF"}, DeviceState.ACTIVE),
        ({}, DeviceState.BUILDING),
    ],
)
def test_nova_s_words_are_mapped_onto_four_states(
    server: Mapping[str, Any], state: DeviceState
) -> None:
    assert state_of(server) is state


ADDRESSES = {
    "management": [
        {"addr": "10.0.0.7", "version": 4, "OS-EXT-IPS:type": "fixed"},
        {"addr": "198.51.100.9", "version": 4, "OS-EXT-IPS:type": "floating"},
    ],
    "front": [
        {"addr": "2001:db8::7", "version": 6, "OS-EXT-IPS:type": "fixed"},
        {"addr": "192.0.2.7", "version": 4, "OS-EXT-IPS:type": "fixed"},
    ],
}


@pytest.mark.parametrize(
    ("network", "family", "address"),
    [
        ("front", 4, "192.0.2.7"),
        ("front", 6, "2001:db8::7"),
        ("management", 4, "10.0.0.7"),
        ("management", 6, None),
        ("unknown", 4, None),
        ("", 4, "192.0.2.7"),
        ("", 6, "2001:db8::7"),
    ],
)
def test_network_and_family_of_the_settings_choose_the_address(
    network: str, family: int, address: str | None
) -> None:
    assert address_of(ADDRESSES, network=network, family=family) == address


def test_a_floating_ip_is_never_taken_for_a_device_s_own_address() -> None:
    floating = {"n": [{"addr": "198.51.100.9", "version": 4, "OS-EXT-IPS:type": "floating"}]}
    assert address_of(floating, network="n", family=4) is None


@given(
    basename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True),
    key=st.uuids().map(str),
    delivered=st.booleans(),
)
def test_a_mark_is_read_back_as_it_was_written_and_fits_neutron(
    basename: str, key: str, delivered: bool
) -> None:
    text = mark_text(basename, key, delivered=delivered)
    mark = _MARK.fullmatch(text)
    assert mark is not None
    assert (mark["pool"], mark["key"], mark["delivered"] == "yes") == (basename, key, delivered)
    assert len(text) <= 255


@given(
    basename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True),
    server=st.uuids().map(str),
)
def test_a_ports_mark_is_read_back_as_it_was_written_and_is_no_floating_ips(
    basename: str, server: str
) -> None:
    mark = PORT_MARK.fullmatch(port_mark(basename, server))
    assert mark is not None
    assert (mark["pool"], mark["device"]) == (basename, server)
    assert _MARK.fullmatch(port_mark(basename, server)) is None


# -- listings ------------------------------------------------------------------------------------


class PagedNova:
    """Nova's listing in pages of two; before the n-th call the server `gone` is deleted."""

    def __init__(self, names: list[str], *, gone: str = "", before_call: int = 0) -> None:
        self.client = self
        self.names = names
        self.gone = gone
        self.before_call = before_call
        self.calls = 0

    def get(self, url: str) -> tuple[None, dict[str, Any]]:
        self.calls += 1
        if self.calls == self.before_call:
            self.names.remove(self.gone)
        marker = parse_qs(urlsplit(url).query).get("marker", [""])[0]
        if marker and marker not in self.names:
            raise nova_errors.BadRequest(400, message=f"marker [{marker}] not found")
        start = self.names.index(marker) + 1 if marker else 0
        page = self.names[start : start + 2]
        body: dict[str, Any] = {"servers": [{"id": name, "name": name} for name in page]}
        if start + 2 < len(self.names):
            href = f"http://inside.example/servers?limit=2&marker={page[-1]}"
            body["servers_links"] = [{"rel": "next", "href": href}]
        return None, body


def listing(nova: PagedNova) -> Servers:
    return Servers(nova=nova, basename="lb", order=lambda _: {}, address_of=lambda _: None)


def test_a_listing_is_read_to_its_end_and_one_page_costs_one_call() -> None:
    nova = PagedNova(["lb-1", "lb-2", "lb-3", "lb-4", "lb-5"])
    assert list(listing(nova).names()) == nova.names
    assert nova.calls == 3

    nova = PagedNova(["lb-1", "lb-2"])
    assert list(listing(nova).names()) == nova.names
    assert nova.calls == 1


def test_a_server_deleted_between_two_pages_hides_no_other() -> None:
    nova = PagedNova(["lb-1", "lb-2", "lb-3", "lb-4"], gone="lb-2", before_call=2)
    assert list(listing(nova).names()) == ["lb-1", "lb-3", "lb-4"]


class OneServer:
    """Nova with one server, of this name and metadata; `status` is what its details answer."""

    def __init__(self, name: str, metadata: Mapping[str, str], *, status: int = 200) -> None:
        self.client = self
        self.brief = {"id": "1", "name": name}
        self.metadata = dict(metadata)
        self.status = status

    def get(self, url: str) -> tuple[None, dict[str, Any]]:
        if url.endswith("/metadata"):
            return None, {"metadata": self.metadata}
        if "/detail" not in url:
            return None, {"servers": [self.brief]}
        if self.status != 200:
            raise nova_errors.ClientException(self.status, message="neutron is away")
        return None, {"servers": [{**self.brief, "status": "ACTIVE", "metadata": self.metadata}]}


def found(nova: OneServer, name: str = NAME) -> Device | None:
    servers = Servers(
        nova=nova,
        basename="libra_stg_haproxy",
        order=lambda _: {},
        address_of=lambda _: None,
    )
    return servers.find(name)


OURS = {"libra_basename": "libra_stg_haproxy", "libra_key": KEY, "libra_delivered": "no"}


def test_a_device_is_found_by_its_name_alone() -> None:
    device = found(OneServer(NAME, OURS))
    assert device is not None
    assert (device.key, device.state, device.delivered) == (KEY, DeviceState.ACTIVE, False)
    assert found(OneServer(NAME.upper(), OURS)) is None


def test_without_neutron_a_device_is_known_all_the_same() -> None:
    device = found(OneServer(NAME, OURS, status=500))
    assert device is not None
    assert (device.id, device.key, device.state) == ("1", KEY, DeviceState.BUILDING)
    with pytest.raises(Unauthorized):
        found(OneServer(NAME, OURS, status=401))


def test_a_server_that_was_built_before_there_was_metadata_is_a_delivered_one() -> None:
    device = found(OneServer(NAME, {"owner": "the original"}))
    assert device is not None
    assert (device.key, device.delivered) == ("", True)


def test_a_server_of_somebody_else_is_no_device() -> None:
    with pytest.raises(Conflict, match="not one of this pool's"):
        found(OneServer(NAME, {**OURS, "libra_basename": "libra"}))
    with pytest.raises(Conflict, match="not one of this pool's"):
        found(OneServer("database-1", {}), "database-1")


# -- the way to the cloud ------------------------------------------------------------------------


def test_without_a_cloud_in_the_settings_the_way_to_name_one_is_told(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"os_cloud.*OS_CLOUD.*nova_auth_url"):
        make_cloud(settings)


def test_a_cloud_that_clouds_yaml_does_not_have_is_named(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {}\n")
    nova = replace(settings.nova, os_cloud="moon", clouds_file=tmp_path / "clouds.yaml")
    with pytest.raises(SettingsError, match=r"os_cloud = 'moon'.*moon"):
        make_cloud(replace(settings, nova=nova))


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/v3", "http://127.0.0.1:9", "http://127.0.0.1:9/v2.0/"],
)
def test_the_original_s_settings_are_enough_and_nothing_is_connected_to(
    settings: Settings, url: str
) -> None:
    login: dict[str, Any] = {"nova_user": "u", "nova_pass": "p", "nova_tenant": "t"}
    mgm = replace(settings.mgm, nova_auth_url=url, **login)
    make_cloud(replace(settings, mgm=mgm)).close()


# -- user_data -----------------------------------------------------------------------------------


def files_of(text: str) -> dict[str, str]:
    config = yaml.safe_load(text)
    return {one["path"]: base64.b64decode(one["content"]).decode() for one in config["write_files"]}


def test_a_node_is_told_its_name_and_its_job_servers(settings: Settings) -> None:
    # Given job servers that nodes reach by another address
    nova = replace(
        settings.nova, gearman_servers=(HostPort("192.0.2.1", 4730), HostPort("2001:db8::1", 4731))
    )

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=nova)

    # Then it is a cloud-config whose settings file a worker can read
    assert text.startswith("#cloud-config\n")
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(files_of(text)["/etc/libra.cfg"])
    assert parsed["worker"]["name"] == NAME
    assert parsed["gearman"]["servers"] == "192.0.2.1:4730, [2001:db8::1]:4731"


def test_an_image_that_has_libra_is_only_told_to_start_it(settings: Settings) -> None:
    config = yaml.safe_load(user_data(NAME, gearman=settings.gearman, nova=settings.nova))
    assert "packages" not in config
    assert all("pip" not in json.dumps(command) for command in config["runcmd"])
    assert ["systemctl", "enable", "libra-worker.service"] in config["runcmd"]


def test_libra_comes_from_the_package_source_of_the_settings(settings: Settings) -> None:
    # Given a package and an index, the package with what a shell or YAML would mind
    nova = replace(
        settings.nova, package="libra[x] @ https://p.example/a.whl#: '\"", package_index="https://i"
    )

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=nova)

    # Then pip is called with just these words, and there is a unit to start
    commands = yaml.safe_load(text)["runcmd"]
    assert [
        "/opt/libra/bin/pip", "install", "--no-input", "--index-url", "https://i", nova.package
    ] in commands  # fmt: skip
    assert "libra_worker" in files_of(text)["/etc/systemd/system/libra-worker.service"]


def test_a_node_gets_certificates_of_its_own(settings: Settings, tmp_path: Path) -> None:
    # Given a node's certificates
    paths: dict[str, Any] = {key: tmp_path / key for key in ("ssl_key", "ssl_cert", "ssl_ca")}
    for name, path in paths.items():
        path.write_text(f"-----BEGIN {name}-----\n")

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=replace(settings.nova, **paths))

    # Then they are there, the key for root alone, and the settings name them
    config = yaml.safe_load(text)
    permissions = {one["path"]: one["permissions"] for one in config["write_files"]}
    files = files_of(text)
    assert files["/etc/libra/tls/ssl_key.pem"] == "-----BEGIN ssl_key-----\n"
    assert permissions["/etc/libra/tls/ssl_key.pem"] == "0600"
    assert "ssl_key = /etc/libra/tls/ssl_key.pem" in files["/etc/libra.cfg"]


def test_the_pool_manager_s_own_key_is_never_given_away(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_text("secret of the pool manager")
    gearman = replace(settings.gearman, ssl_key=own, ssl_cert=own, ssl_ca=own)
    with pytest.raises(BadRequest, match=r"\[mgm:nova\] ssl_key, ssl_cert, ssl_ca"):
        user_data(NAME, gearman=gearman, nova=settings.nova)


def test_a_certificate_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path) -> None:
    nova = replace(
        settings.nova, ssl_key=tmp_path / "no", ssl_cert=tmp_path / "no", ssl_ca=tmp_path / "no"
    )
    with pytest.raises(BadRequest, match=r"\[mgm:nova\] ssl_key = .*no'"):
        user_data(NAME, gearman=settings.gearman, nova=nova)


def test_user_data_that_nova_would_refuse_is_refused_here(
    settings: Settings, tmp_path: Path
) -> None:
    long = tmp_path / "long.pem"
    long.write_text("x" * 40000)
    nova = replace(settings.nova, ssl_key=long, ssl_cert=long, ssl_ca=long)
    with pytest.raises(BadRequest, match="65535"):
        user_data(NAME, gearman=settings.gearman, nova=nova)


AGENT = AgentWish(
    amphora_id="6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce",
    certificate="-----BEGIN PRIVATE KEY-----\n",
    ca="-----BEGIN CERTIFICATE-----\n",
    heartbeat_key="$ecret#=%key",
    controllers=("192.0.2.9:5555", "[2001:db8::9]:5555"),
    port=9444,
)


def test_a_node_with_an_agent_is_told_what_that_needs_and_nobody_else_may_read_it(
    settings: Settings, tmp_path: Path
) -> None:
    # When user_data is written for an image that has Libra
    text = user_data(NAME, gearman=settings.gearman, nova=settings.nova, agent=AGENT)
    config, files = yaml.safe_load(text), files_of(text)
    # Then the agent's settings are such that it reads them as they were meant
    path = tmp_path / "agent.conf"
    path.write_text(files["/etc/octavia/amphora-agent.conf"])
    told = read_agent_settings([path])
    assert told.agent.amphora_id == AGENT.amphora_id
    assert told.health.heartbeat_key == AGENT.heartbeat_key
    assert tuple(map(str, told.health.controller_ip_port_list)) == AGENT.controllers
    assert (told.haproxy.bind_port, told.own.netns) == (9444, "")
    assert files[str(told.agent.agent_server_cert)] == AGENT.certificate
    assert files[str(told.agent.agent_server_ca)] == AGENT.ca
    # And secrets are for one user alone, whom the image's unit runs as
    permissions = {one["path"]: one["permissions"] for one in config["write_files"]}
    for secret in ("/etc/octavia/amphora-agent.conf", str(told.agent.agent_server_cert)):
        assert permissions[secret] == "0600"
    assert ["systemctl", "enable", "libra-amphora.service"] in config["runcmd"]
    (chown,) = [one for one in config["runcmd"] if one[0] == "chown"]
    assert chown[2:] == ["libra", "/etc/octavia/amphora-agent.conf", "/var/lib/libra/agent"]


def test_a_node_that_installs_libra_installs_what_the_agent_needs(settings: Settings) -> None:
    nova = replace(settings.nova, package="libra==1.0")
    text = user_data(NAME, gearman=settings.gearman, nova=nova, agent=AGENT)
    assert ["/opt/libra/bin/pip", "install", "--no-input", "libra[amphora]==1.0"] in (
        yaml.safe_load(text)["runcmd"]
    )
    files = files_of(text)
    assert "libra_amphora --config" in files["/etc/systemd/system/libra-amphora.service"]
    assert "netns = amphora-haproxy" in files["/etc/octavia/amphora-agent.conf"]


@pytest.mark.parametrize(
    ("package", "with_it"),
    [
        ("", ""),
        ("libra", "libra[amphora]"),
        ("libra>=1,<2", "libra[amphora]>=1,<2"),
        ("libra ; python_version>'3'", "libra[amphora] ; python_version>'3'"),
        ("libra @ https://p.example/a.whl", "libra[amphora] @ https://p.example/a.whl"),
        ("https://p.example/a.whl", "libra[amphora] @ https://p.example/a.whl"),
        ("libra[amphora,x]==1", "libra[amphora,x]==1"),
    ],
)
def test_one_more_extra_is_named_in_whatever_pip_takes(package: str, with_it: str) -> None:
    assert with_extra(package, "amphora") == with_it


def test_no_agents_secret_is_shown_by_what_holds_it() -> None:
    assert AGENT.heartbeat_key not in repr(AGENT)
    assert "PRIVATE KEY" not in repr(AGENT)
