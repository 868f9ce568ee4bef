"""Options of load balancers themselves."""

from __future__ import annotations

import pytest

from tests.support.options.registry import Refusal, served, unserved
from tests.support.options.stage import Stage

KIND = "load balancer"


@served(
    KIND,
    "admin_state_up",
    passes="a request while it is up",
    fails="a connection while it is down",
)
def admin_state_up(stage: Stage) -> None:
    web = stage.web("one")
    stage.simple(web)
    assert stage.get().body == b"one"
    stage.simple(web, admin_state_up=False)
    with pytest.raises(OSError):
        stage.get()


for _name, _value, _note in (
    (
        "vip_sg_ids",
        ["a8a45cd9-b3b8-4a4e-a8cf-a9e0ea0b5ddf"],
        "the ports of devices are guarded by the pool manager's security groups",
    ),
    (
        "vip_qos_policy_id",
        "a8a45cd9-b3b8-4a4e-a8cf-a9e0ea0b5ddf",
        "the pool manager gives ports no QoS policy",
    ),
):
    unserved(
        KIND,
        _name,
        refusal=Refusal({_name: _value}, _name, late=True),
        note=f"{_note}; a load balancer that has one is ERROR, since Octavia hides it from drivers",
    )
