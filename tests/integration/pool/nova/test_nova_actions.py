"""The six actions by gearman's own command, seen by OpenStack's own command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from libra_client.client import Client
from tests.integration.pool.nova.conftest import MakeNovaManager
from tests.support.booting import Booting
from tests.support.gearmand import Gearmand
from tests.support.need import program
from tests.support.openstack import OpenStack

pytestmark = pytest.mark.slow

Ask = Callable[[str], dict[str, Any]]

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def ask(gearmand: Gearmand) -> Ask:
    """Send a message as it stands, as anybody can from a shell."""

    def send(message: str) -> dict[str, Any]:
        done = subprocess.run(
            [
                *(program("gearman"), "-h", gearmand.host, "-p", str(gearmand.port)),
                *("-f", "libra_pool_mgm"),
            ],
            input=message.encode(),
            capture_output=True,
            timeout=300,
            check=True,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return send


def test_the_examples_of_the_spec_do_in_openstack_what_they_say(
    stack: OpenStack,
    gearmand: Gearmand,
    nova_manager: MakeNovaManager,
    booting: Booting,
    ask: Ask,
) -> None:
    # Given a pool manager whose cloud is OpenStack
    nova_manager(az=3, build_timeout=120).start()

    # When a device is built
    built = ask('{ "action": "BUILD_DEVICE" }')

    # Then the answer is the spec's, and the server is there under this name and address
    name = built["name"]
    assert re.fullmatch(f"libra-stg-haproxy-{_UUID}", name)
    assert built == {
        "action": "BUILD_DEVICE",
        "response": "PASS",
        "name": name,
        "addr": built["addr"],
        "type": "basename: libra-stg-haproxy, image: bench-image",
        "az": "3",
    }
    server = stack.command("server", "show", name)
    assert server["status"] == "ACTIVE"
    assert server["addresses"] == {"lbaas-net": [built["addr"]]}

    # And its worker, told so by its user_data alone, takes messages
    assert Client([gearmand.address]).discover(name).ok

    # When an address is had, by the message with the slip
    address = ask('{\n"action": "BUILD_IP",\n}')

    # Then it is the project's
    assert address == {
        "action": "BUILD_IP",
        "response": "PASS",
        "id": address["id"],
        "ip": address["ip"],
    }
    seen = stack.command("floating", "ip", "show", address["ip"])
    assert (seen["id"], seen["fixed_ip_address"]) == (address["id"], None)

    # When it is assigned, twice
    both = f'"ip": "{address["ip"]}", "name": "{name}"'
    for _ in range(2):
        assert ask(f'{{"action": "ASSIGN_IP", {both}}}') == {
            "action": "ASSIGN_IP",
            "ip": address["ip"],
            "name": name,
            "response": "PASS",
        }

    # Then it leads to the device
    seen = stack.command("floating", "ip", "show", address["ip"])
    assert seen["fixed_ip_address"] == built["addr"]

    # When it is removed, twice
    for _ in range(2):
        assert ask(f'{{"action": "REMOVE_IP", {both}}}')["response"] == "PASS"

    # Then it is kept, and leads nowhere
    seen = stack.command("floating", "ip", "show", address["ip"])
    assert seen["fixed_ip_address"] is None

    # When both are deleted, twice
    for _ in range(2):
        assert ask(f'{{"action": "DELETE_IP", "ip": "{address["ip"]}"}}')["response"] == "PASS"
        assert ask(f'{{"action": "DELETE_DEVICE", "name": "{name}"}}')["response"] == "PASS"

    # Then nothing is left
    assert stack.command("server", "list") == []
    assert stack.command("floating", "ip", "list") == []


def test_an_address_of_another_device_is_neither_assigned_nor_removed(
    stack: OpenStack, nova_manager: MakeNovaManager, booting: Booting
) -> None:
    # Given two devices, the first with an address
    manager = nova_manager(build_timeout=120).start()
    first, second = (one.result(200) for one in [manager.begin("BUILD_DEVICE") for _ in range(2)])
    ip = manager.do("BUILD_IP")["ip"]
    assert manager.do("ASSIGN_IP", ip=ip, name=first["name"])["response"] == "PASS"

    # When the second is to have or to free it
    answers = [
        manager.do(action, ip=ip, name=second["name"]) for action in ("ASSIGN_IP", "REMOVE_IP")
    ]

    # Then both are refused, and it stays where it is
    assert [(one["response"], one["error_code"]) for one in answers] == [("FAIL", "conflict")] * 2
    assert stack.addresses()[ip]["fixed_ip_address"] == first["addr"]


def test_a_build_may_name_flavor_image_zone_and_network(
    stack: OpenStack, nova_manager: MakeNovaManager, booting: Booting
) -> None:
    # Given settings that name nothing which could be built
    manager = nova_manager(
        build_timeout=120, nova_image="none", nova_image_size="bench.huge", nova_net_id="none"
    ).start()

    # When the message names all of it, in any case of letters
    image = stack.member.image.find_image("bench-image", ignore_missing=False)
    answer = manager.send(
        {
            "ACTION": "Build_Device",
            "Flavor": "bench.small",
            "IMAGE": image.id,
            "az": "nova",
            "network": "lbaas-net",
        }
    )

    # Then it is what the message says
    assert answer["response"] == "PASS", answer
    assert answer["type"] == f"basename: libra-stg-haproxy, image: {image.id}"
    server = stack.servers()[answer["name"]]
    assert server["OS-EXT-AZ:availability_zone"] == "nova"
    assert server["metadata"]["libra_delivered"] == "yes"


def test_the_check_of_the_settings_reaches_into_the_cloud(nova_manager: MakeNovaManager) -> None:
    good = nova_manager().run("--check-config")
    assert good.returncode == 0, good.stderr
    bad = nova_manager(nova_keyname="no-such-key").run("--check-config")
    assert bad.returncode == 78
    assert "[mgm] nova_keyname = 'no-such-key'" in bad.stderr
