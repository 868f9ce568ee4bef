"""The pure parts of the OpenStack cloud: states, addresses, marks, listings, the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from novaclient import exceptions as nova_errors

from libra_common.errors import SettingsError
from libra_common.settings import Settings
from libra_pool_mgm.clouds.base import Device, DeviceState
from libra_pool_mgm.clouds.errors import Conflict, Unauthorized
from libra_pool_mgm.clouds.nova import make_cloud
from libra_pool_mgm.clouds.nova.addresses import _MARK, mark_text
from libra_pool_mgm.clouds.nova.ports import _MARK as PORT_MARK
from libra_pool_mgm.clouds.nova.ports import mark_text as port_mark
from libra_pool_mgm.clouds.nova.servers import Servers, address_of, state_of
from tests.unit.pool.things import KEY, NAME

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack")


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
