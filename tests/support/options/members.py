"""Options of members."""

from __future__ import annotations

from tests.support.options.registry import Refusal, served, unserved
from tests.support.options.stage import FAST, Stage
from tests.support.ports import free_port
from tests.support.wait import until

KIND = "member"


@served(
    KIND,
    "address",
    "protocol_port",
    passes="a request: the member at the address and port",
    fails="a member where nobody is: 503",
    refusal=Refusal({"address": "224.0.0.1"}, "address"),
)
def address(stage: Stage) -> None:
    stage.simple(stage.web("one"))
    assert stage.get().body == b"one"
    if stage.home6:
        six = stage.web("six", host=stage.home6)
        stage.simple({"address": stage.home6, "protocol_port": six.port})
        assert stage.get().body == b"six"
    stage.simple(stage.dead())
    assert stage.get().status == 503


@served(
    KIND,
    "weight",
    passes="requests in the proportion of the weights",
    fails="a member of weight 0: none",
    refusal=Refusal({"weight": 257}, by="Octavia"),
)
def weight(stage: Stage) -> None:
    webs = [stage.web(name) for name in ("one", "two", "three")]
    stage.simple(*(stage.member(web, weight=w) for web, w in zip(webs, (3, 1, 0), strict=True)))
    assert stage.bodies(12) == {"one": 9, "two": 3}


@served(
    KIND,
    "backup",
    passes="a request once all others are dead",
    fails="a request as long as another one lives: that one's",
    refusal=Refusal({"backup": "perhaps"}, by="Octavia"),
)
def backup(stage: Stage) -> None:
    one, two = stage.web("one"), stage.web("two")
    watched = {"healthmonitor": {"type": "TCP", **FAST}}
    stage.simple(one, stage.member(two, backup=True), behind=watched)
    assert stage.bodies(4) == {"one": 4}
    dead = stage.dead()
    stage.simple(dead, stage.member(two, backup=True), behind=watched)
    until(lambda: stage.get().body == b"two", "the backup serves")


@served(
    KIND,
    "admin_state_up",
    passes="a request: the members that are up",
    fails="a member that is down: none",
    refusal=Refusal({"admin_state_up": "perhaps"}, by="Octavia"),
)
def admin_state_up(stage: Stage) -> None:
    one, two = stage.web("one"), stage.web("two")
    stage.simple(one, stage.member(two, admin_state_up=False))
    assert stage.bodies(6) == {"one": 6}


@served(
    KIND,
    "monitor_address",
    "monitor_port",
    passes="a member that is alive where it is checked",
    fails="one that is dead there: none",
    refusal=Refusal({"monitor_port": 0}, by="Octavia"),
)
def monitored_elsewhere(stage: Stage) -> None:
    one, two, elsewhere = stage.web("one"), stage.web("two"), stage.web("elsewhere")
    good = stage.member(one, monitor_port=elsewhere.port, monitor_address=stage.home)
    bad = stage.member(two, monitor_port=free_port(stage.home), monitor_address=stage.home)
    stage.simple(good, bad, behind={"healthmonitor": {"type": "TCP", **FAST}})
    until(lambda: stage.bodies(4) == {"one": 4}, "the bad one is out")


unserved(
    KIND,
    "vnic_type direct",
    refusal=Refusal({"vnic_type": "direct"}, by="Octavia"),
    note="ports of devices are of the kind normal alone",
)
