"""What `base.Cloud` promises, kept by a real OpenStack."""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from libra_pool_mgm.clouds.base import Cloud, Device, DeviceState
from libra_pool_mgm.clouds.errors import BadRequest, Conflict, Unauthorized
from tests.integration.pool.nova.conftest import MakeCloud, settled, wish
from tests.support.openstack import OpenStack
from tests.support.wait import until

pytestmark = pytest.mark.slow


def test_a_device_is_found_by_its_key_in_each_state_of_its_life(
    cloud: Cloud, cloud_with: MakeCloud
) -> None:
    # When a device is ordered, twice, the second time by a process that remembers nothing
    wanted = wish()
    ordered = cloud.create_device(wanted)
    again = cloud_with().create_device(wanted)

    # Then there is one, with its key and an address on the network of the settings
    assert again.id == ordered.id
    built = settled(cloud, wanted.name)
    assert (built.state, built.key, built.delivered) == (DeviceState.ACTIVE, wanted.key, False)
    assert built.address is not None
    assert [one.id for one in cloud.devices()] == [built.id]

    # When it is marked and deleted, each twice
    cloud.mark_delivered(built)
    cloud.mark_delivered(built)
    assert [one.delivered for one in cloud.devices()] == [True]
    cloud.delete_device(built)
    until(lambda: cloud.find_device(wanted.name) is None, "it is gone", 60)

    # Then deleting what is gone is no fault
    cloud.delete_device(built)


def test_a_name_that_belongs_to_another_order_is_not_adopted(cloud: Cloud) -> None:
    wanted = wish()
    cloud.create_device(wanted)
    other = type(wanted)(key=wish().key, name=wanted.name)
    with pytest.raises(Conflict, match="another order"):
        cloud.create_device(other)


def test_two_pools_in_one_project_do_not_see_each_other_s_things(
    cloud: Cloud, cloud_with: MakeCloud
) -> None:
    # Given a device and an address of this pool
    wanted = wish()
    cloud.create_device(wanted)
    address = cloud.create_address(key=wanted.key)

    # Then a pool whose basename is the beginning of this one's has none of them
    other = cloud_with(node_basename="libra-stg")
    assert list(other.devices()) == []
    assert list(other.addresses()) == []
    with pytest.raises(Conflict, match="not one of this pool's"):
        other.find_device(wanted.name)

    # And what it is told of the address is that somebody has it
    seen = other.find_address(address.ip)
    assert seen is not None
    assert (seen.key, seen.delivered) == ("", True)


def test_an_address_never_moves_away_from_the_device_that_holds_it(cloud: Cloud) -> None:
    # Given two devices, and an address made twice for one key
    first, second = wish(), wish()
    cloud.create_device(first)
    cloud.create_device(second)
    address = cloud.create_address(key=first.key)
    assert cloud.create_address(key=first.key).id == address.id
    one, two = settled(cloud, first.name), settled(cloud, second.name)

    # When the first one is given it, twice
    cloud.assign_address(address, one)
    cloud.assign_address(address, one)

    # Then the second can neither have nor free it
    for refused in (cloud.assign_address, cloud.remove_address):
        with pytest.raises(Conflict, match=f"belongs to {first.name}"):
            refused(address, two)
    held = cloud.find_address(address.ip)
    assert held is not None
    assert held.device == first.name

    # When the first one gives it up, twice
    cloud.remove_address(address, one)
    cloud.remove_address(address, one)

    # Then it is kept, is marked when told, and is the second one's for the asking
    cloud.mark_address_delivered(address)
    assert [(a.ip, a.device, a.delivered) for a in cloud.addresses()] == [(address.ip, None, True)]
    cloud.assign_address(address, two)
    assert [a.device for a in cloud.addresses()] == [second.name]

    # And giving it back takes it from there, twice without complaint
    cloud.delete_address(address)
    cloud.delete_address(address)
    assert cloud.find_address(address.ip) is None


def test_of_two_who_ask_for_an_address_at_once_one_gets_it_and_the_other_is_refused(
    cloud: Cloud,
) -> None:
    # Given two devices and an address
    wishes = [wish(), wish()]
    for one in wishes:
        cloud.create_device(one)
    devices = [settled(cloud, one.name) for one in wishes]
    address = cloud.create_address(key=wishes[0].key)

    def assign(device: Device) -> str:
        try:
            cloud.assign_address(address, device)
        except Conflict:
            return "conflict"
        return device.name

    for _ in range(5):
        # When both are to have it at the same moment
        with ThreadPoolExecutor(2) as threads:
            outcome = list(threads.map(assign, devices))

        # Then one of them has it, and only that one was told so
        (held,) = cloud.addresses()
        assert sorted(outcome) == sorted(["conflict", str(held.device)])
        for device in devices:
            if device.name == held.device:
                cloud.remove_address(address, device)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"nova_image": "no-such-image"}, r"\[mgm\] nova_image = 'no-such-image'"),
        ({"nova_image": ""}, r"\[mgm\] nova_image: must be set"),
        ({"nova_image_size": "no-such"}, r"\[mgm\] nova_image_size = 'no-such'.*flavor"),
        ({"nova_net_id": "no-such"}, r"\[mgm\] nova_net_id = 'no-such'.*network"),
        ({"nova_secgroup": "no-such"}, r"\[mgm\] nova_secgroup = 'no-such'.*security group"),
        ({"nova_keyname": "no-such"}, r"\[mgm\] nova_keyname = 'no-such'.*key pair"),
        ({"nova_az_name": "no-such"}, r"\[mgm\] nova_az_name = 'no-such'.*availability zone"),
        ({"nova": {"floating_network": "no-such"}}, r"floating_network = 'no-such'"),
        ({"nova": {"address_network": "no-such"}}, r"address_network = 'no-such'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_check_names_the_setting_that_the_cloud_does_not_know(
    cloud_with: MakeCloud, changed: dict[str, Any], named: str
) -> None:
    cloud_with().check()
    with pytest.raises(BadRequest, match=named):
        cloud_with(**changed).check()


def test_a_wrong_password_is_said_to_be_one_and_is_never_logged(
    stack: OpenStack, cloud_with: MakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    # Given the original's settings instead of clouds.yaml, once right, once wrong
    auth = stack.member.config.get_auth_args()
    login = {
        "nova": {"os_cloud": ""},
        "nova_auth_url": auth["auth_url"].replace("/v3", "/v2.0/"),
        "nova_user": auth["username"],
        "nova_tenant": auth["project_name"],
    }
    right, wrong = auth["password"], f"wrong{uuid.uuid4().hex}"
    with caplog.at_level(logging.DEBUG):
        cloud_with(**login, nova_pass=right).check()
        with pytest.raises(Unauthorized):
            cloud_with(**login, nova_pass=wrong).check()

    # Then neither password nor token is in any line
    assert "libra_pool_mgm" in caplog.text
    for secret in (right, wrong, "gAAAA"):
        assert secret not in caplog.text


def test_each_call_is_logged_with_its_request_id(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="libra_pool_mgm"):
        cloud.devices()
    assert "compute GET /servers/detail: 200" in caplog.text
    assert "request id req-" in caplog.text


def test_names_are_looked_up_once_and_again_after_a_refusal(
    stack: OpenStack, cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a pool that has built a device already
    cloud.create_device(wish())

    # When it builds another one
    with caplog.at_level(logging.DEBUG, logger="libra_pool_mgm"):
        cloud.create_device(wish())

    # Then image, flavor, network, group and key are not asked for again
    assert "POST /servers" in caplog.text
    assert "GET /flavors" not in caplog.text
    assert "images" not in caplog.text
    assert "networks" not in caplog.text
