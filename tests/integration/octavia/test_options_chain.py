"""Each option by a real Octavia: through REST and the address of a device, or refused by REST."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from libra_octavia.inventory.tables import intents
from tests.support.octavia_cloud import OctaviaCloud, Refused
from tests.support.octavia_tls import container
from tests.support.options import OPTIONS, Option
from tests.support.options.cloud_stage import prove
from tests.support.options.registry import Proof

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PROVED = list({option.proof: option for option in OPTIONS if option.proof}.values())
REFUSED = list(
    {
        (option.kind, str(option.refusal.fields)): option
        for option in OPTIONS
        if option.refusal and not option.refusal.late
    }.values()
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud() as running:
        running.api.keep("www", container("www.example.org"))
        yield running


@pytest.fixture(scope="module")
def outcomes(
    cloud: OctaviaCloud, request: pytest.FixtureRequest
) -> dict[Proof, BaseException | None]:
    """What the proofs raised of the options that this run is about."""
    name = test_an_option_serves_what_it_should_and_nothing_else.__name__
    asked = [
        item.callspec.params["option"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == name
        if item.path == request.path
    ]
    return prove(cloud, [one.proof for one in asked if isinstance(one, Option) and one.proof])


@pytest.mark.parametrize("option", PROVED, ids=str)
def test_an_option_serves_what_it_should_and_nothing_else(
    option: Option, outcomes: dict[Proof, BaseException | None]
) -> None:
    assert option.proof is not None
    error = outcomes[option.proof]
    if error is not None:
        raise error


@pytest.fixture(scope="module")
def places(cloud: OctaviaCloud) -> Iterator[dict[str, tuple[str, dict[str, Any]]]]:
    """By kinds of objects, where one can be made, and with which fields at the least."""
    made = cloud.balancer()
    front = cloud.create("listeners", loadbalancer_id=made["id"], protocol="HTTP", protocol_port=80)
    behind = cloud.create(
        "pools", listener_id=front["id"], protocol="HTTP", lb_algorithm="ROUND_ROBIN"
    )
    policy = cloud.create("l7policies", listener_id=front["id"], action="REJECT")
    listener = {"loadbalancer_id": made["id"], "protocol": "HTTP", "protocol_port": 81}
    pool = {"loadbalancer_id": made["id"], "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}
    member = {"address": "192.0.2.1", "protocol_port": 80}
    monitor = {"pool_id": behind["id"], "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}
    rule = {"type": "PATH", "compare_type": "EQUAL_TO", "value": "/"}
    yield {
        "listener": ("listeners", listener),
        "pool": ("pools", pool),
        "member": (f"pools/{behind['id']}/members", member),
        "health monitor": ("healthmonitors", monitor),
        "L7 policy": ("l7policies", {"listener_id": front["id"], "action": "REJECT"}),
        "L7 rule": (f"l7policies/{policy['id']}/rules", rule),
    }
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")


_ONE = {"healthmonitors": "healthmonitor", "l7policies": "l7policy"}


@pytest.mark.parametrize("option", REFUSED, ids=str)
def test_a_wrong_value_is_refused_by_name_before_anything_is_stored(
    option: Option, cloud: OctaviaCloud, places: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    assert option.refusal is not None
    path, fields = places[option.kind]
    collection = path.rpartition("/")[2]
    one = _ONE.get(collection, collection[:-1])
    before = cloud.api.call("GET", path)
    with pytest.raises(Refused) as caught:
        cloud.api.call("POST", path, {one: {**fields, **option.refusal.fields}})
    if option.refusal.by == "Libra":
        assert caught.value.status == 501
        assert re.search(option.refusal.why, caught.value.fault), caught.value.fault
    else:
        assert 400 <= caught.value.status < 500
    # Nothing is there, nothing is wanted, and whatever it belongs to can be changed further.
    assert cloud.api.call("GET", path) == before
    assert cloud.pending() == []
    with cloud.database.read() as connection:
        assert connection.execute(intents.select()).all() == []


@pytest.mark.parametrize(
    "option", [one for one in OPTIONS if one.refusal and one.refusal.late], ids=str
)
def test_what_octavia_hides_from_drivers_is_an_error_with_its_reason(
    option: Option, cloud: OctaviaCloud
) -> None:
    assert option.refusal is not None
    made = cloud.balancer(settle=False, **option.refusal.fields)
    assert cloud.api.settled(f"loadbalancers/{made['id']}") == "ERROR"
    said = [line for line in cloud.said().splitlines() if made["id"] in line and "ERROR" in line]
    assert any(option.refusal.why in line for line in said)
    assert cloud.known_devices(made["id"]) == []
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
