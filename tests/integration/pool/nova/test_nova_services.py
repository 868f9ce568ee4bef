"""Each of OpenStack's services dies, and hangs: the answers are right, one sweep later nothing is
left of what went wrong, and the same orders work."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from tests.integration.pool.nova.conftest import MakeNovaManager
from tests.support.booting import Booting
from tests.support.openstack import OpenStack
from tests.support.wait import until

pytestmark = pytest.mark.slow

_GRACE = 18  # seconds
_AWAY = {"cloud_unavailable", "timeout"}
# The services remember tokens for a while; what comes then depends on which of them forgets first.
_WHATEVER = {"PASS", "build_failed", "capacity", *_AWAY}
_SERVICES = {
    "nova-api": _AWAY,
    "neutron": _AWAY,
    "glance": _AWAY,
    "placement": {"capacity", "timeout"},
    "nova-scheduler": {"timeout"},
    "nova-conductor": {"timeout"},
    "nova-compute": {"timeout"},
    "keystone": _WHATEVER,
}


def all_old(stack: OpenStack) -> bool:
    """Whether whatever was made while something was wrong may be swept by now."""
    made = [one["created"] for one in stack.servers().values()]
    made += [one["created_at"] for one in stack.addresses().values()]
    now = datetime.now(UTC)
    return all((now - datetime.fromisoformat(one)).total_seconds() > _GRACE + 1 for one in made)


@pytest.mark.parametrize("how", ["dead", "hung"])
def test_whichever_service_is_away_the_answer_is_right_and_one_sweep_leaves_nothing(
    stack: OpenStack, nova_manager: MakeNovaManager, booting: Booting, how: str
) -> None:
    # Given a pool manager that has looked around in the cloud
    manager = nova_manager(
        build_timeout=10, build_diag_timeout=5, sweep_grace=_GRACE, cloud_timeout=6
    )
    stack.wait_for("nova-compute")
    manager.start()
    until(lambda: "the cloud nova can be used" in manager.said(), "it has", 60)
    keys = []

    for service, codes in _SERVICES.items():
        # When a device and an address are asked for while a service is away
        keys.append(str(uuid.uuid4()))
        with getattr(stack, how)(service):
            asked = [
                manager.begin("BUILD_DEVICE", unique=keys[-1]),
                manager.begin("BUILD_IP", unique=str(uuid.uuid4())),
            ]
            device, address = (one.result(100) for one in asked)
        stack.wait_for(service)

        # Then the answers say so
        assert device.get("error_code", "PASS") in codes, (service, device)
        assert address.get("error_code", "PASS") in {"PASS", *_AWAY}, (service, address)
        if "nova" in service:
            assert address["response"] == "PASS", (service, address)

        # And what was delivered nevertheless can be given back
        for answer in (device, address):
            if answer["response"] == "PASS":
                given = {"name": answer["name"]} if "name" in answer else {"ip": answer["ip"]}
                action = answer["action"].replace("BUILD", "DELETE")
                assert manager.do(action, **given)["response"] == "PASS", (service, answer)

    # When it is swept
    until(lambda: all_old(stack), "all that is left is old", 120)
    swept = manager.run("--sweep")

    # Then nothing is left
    assert swept.returncode == 0, swept.stderr
    until(lambda: not stack.servers(), "no server is left", 60)
    assert stack.addresses() == {}

    # And the same orders work
    manager.write_config(build_timeout=120, sweep_grace=180, cloud_timeout=60)
    manager.kill()
    manager.start()
    again = [manager.begin("BUILD_DEVICE", unique=key, timeout=150) for key in keys]
    answers = [one.result(160) for one in again]
    assert [one.get("error", "PASS") for one in answers] == ["PASS"] * len(keys)
    assert {name[-36:] for name in stack.servers()} == set(keys)
