"""An inventory that is lost is filled again, and nothing of what serves is built anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text, update

from libra_octavia.inventory.tables import (
    certificates,
    devices,
    intents,
    load_balancers,
    metadata,
    ports,
)
from tests.support.octavia_cloud import MEMBERS_SUBNET, OctaviaCloud
from tests.support.octavia_health import device_api
from tests.support.traffic import get
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cloud() -> Iterator[OctaviaCloud]:
    with OctaviaCloud() as running:
        yield running


def libra(cloud: OctaviaCloud, *words: str) -> Any:
    """What `libra octavia` says, as JSON."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "libra_client.cli.main", "octavia", *words),
            *("--json", "--config-file", str(cloud.agents[0].config)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def web(cloud: OctaviaCloud, name: str, **fields: Any) -> dict[str, Any]:
    (server,) = cloud.members(name)
    return cloud.balancer(
        listeners=[
            {
                "name": name,
                "protocol": "HTTP",
                "protocol_port": 80,
                "default_pool": {
                    "name": name,
                    "protocol": "HTTP",
                    "lb_algorithm": "ROUND_ROBIN",
                    "members": [{"address": server.host, "protocol_port": server.port, **fields}],
                },
            }
        ]
    )


def rows(cloud: OctaviaCloud, table: Any) -> list[Any]:
    with cloud.database.read() as connection:
        return list(connection.execute(select(table)).mappings().all())


def test_what_was_lost_comes_back_and_serves_on(cloud: OctaviaCloud) -> None:
    # Given two load balancers whose devices have seen high fences, and a device that serves nobody
    first = web(cloud, "first", subnet_id=MEMBERS_SUBNET)
    second = web(cloud, "second")
    idle = cloud.balancer()
    with cloud.database.write() as connection:
        connection.execute(
            update(load_balancers).where(load_balancers.c.id == first["id"]).values(fence=5000)
        )
    cloud.update(f"listeners/{first['listeners'][0]['id']}", connection_limit=777)
    before = {one["load_balancer_id"]: one for one in rows(cloud, devices)}
    built = {one.name for one in cloud.devices()}
    known_ports = {(one["device"], one["subnet"]) for one in rows(cloud, ports)}
    serials = {one["device"]: one["serial"] for one in rows(cloud, certificates)}
    # When the inventory is lost
    (agent,) = cloud.agents
    agent.stop()
    with cloud.database.write() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    found = libra(cloud, "rebuild")
    # Then it is filled again from those who remember
    fates = {one["name"]: (one["fate"], one["load_balancer_id"]) for one in found}
    for balancer in (first["id"], second["id"]):
        assert fates[before[balancer]["name"]] == ("added", balancer)
    assert fates[before[idle["id"]]["name"]][0].startswith("serves no load balancer")
    after = {one["load_balancer_id"]: one for one in rows(cloud, devices)}
    for balancer in (first["id"], second["id"]):
        for name in ("name", "amphora_id", "address", "state"):
            assert after[balancer][name] == before[balancer][name]
        assert serials[after[balancer]["name"]] in {
            one["serial"] for one in rows(cloud, certificates)
        }
    served = {after[one]["name"] for one in (first["id"], second["id"])}
    assert {(one["device"], one["subnet"]) for one in rows(cloud, ports)} == {
        one for one in known_ports if one[0] in served
    }
    fences = {one["id"]: one["fence"] for one in rows(cloud, load_balancers)}
    assert fences[first["id"]] > 5000
    # And once more changes nothing
    again = libra(cloud, "rebuild")
    assert not [one for one in again if one["fate"] == "added"]
    # And while it serves on, an agent takes all of it over without building anything
    agent.start()
    until(lambda: not rows(cloud, intents), "all is compared", 120)
    assert {one.name for one in cloud.devices()} == built
    for one, body in ((first, b"first"), (second, b"second")):
        assert get(80, host=one["vip_address"]).body == body
    cloud.update(f"listeners/{first['listeners'][0]['id']}", connection_limit=778)
    listed = {one["id"]: one for one in libra(cloud, "list")}
    assert listed[first["id"]]["last_error"] is None
    assert listed[first["id"]]["devices"][0]["certificate_days_left"] > 0
    # And what it took over it can take away
    for one in (first, second):
        cloud.delete(f"loadbalancers/{one['id']}", "?cascade=true")
    assert {one.name for one in cloud.devices()} == {before[idle["id"]]["name"]}
    assert {one.device for one in cloud.ports()} <= {before[idle["id"]]["name"]}


def test_a_sync_serves_again_what_somebody_changed_on_a_device(cloud: OctaviaCloud) -> None:
    made = web(cloud, "shop")
    assert get(80, host=made["vip_address"]).body == b"shop"
    # Given a device that was told to serve nothing, by somebody with its keys
    (device,) = cloud.known_devices(made["id"])
    device_api(cloud, device).drop(made["id"])
    assert not cloud.serves(made["vip_address"], "shop")
    # When the agents are asked to compare
    assert libra(cloud, "sync", made["id"]) == {"load_balancers": [made["id"]]}
    until(lambda: cloud.serves(made["vip_address"], "shop"), "it serves again", 60)
    assert (cloud.api.show(f"loadbalancers/{made['id']}") or {})["provisioning_status"] == "ACTIVE"
    cloud.delete(f"loadbalancers/{made['id']}", "?cascade=true")
