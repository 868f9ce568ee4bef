"""UDP and SCTP listeners for real: an agent, keepalived, the kernel's IP_VS, and datagrams.

Where this kernel has none, `test_lvs_elsewhere` runs these in another.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from libra_amphora.heartbeat import message
from tests.support import wait
from tests.support.amphora import AMPHORA_ID, Amphora
from tests.support.lvs_agent import listeners_of
from tests.support.lvs_place import MEMBERS, VIP6, Place, opened
from tests.support.lvs_text import LISTENER, OTHER, POOL, SCTP_CHECK, Lvs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ONE, TWO = MEMBERS


@pytest.fixture
def place() -> Iterator[Place]:
    with opened() as made:
        yield made


def keepalived(agent: Amphora) -> list[int]:
    return sorted(agent.pids(b"--check"))


def test_datagrams_reach_members_that_come_go_and_fail(place: Place) -> None:
    one, _ = place.member(ONE), place.member(TWO)
    # Given a listener that was uploaded, and is given back as it came
    lvs = Lvs(members={ONE: MEMBERS[ONE]})
    assert place.put(lvs) == (200, {"message": "OK"})
    reply = place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener")
    assert (reply.status, reply.body) == (200, lvs.text())
    assert place.agent.local("GET", "/1.0/listeners").body == [
        {"status": "STOPPED", "uuid": LISTENER, "type": "UDP"}
    ]
    assert place.ask(1) == {"": 1}
    # When it is started, it serves
    assert place.act("start") == (
        202,
        {"message": "OK", "details": f"keepalivedlvs listener {LISTENER} started"},
    )
    wait.until(lambda: place.ask(1) == {ONE: 1}, "the first member answers", 30)
    assert place.agent.local("GET", "/1.0/listeners").body[0]["status"] == "ACTIVE"
    before = keepalived(place.agent)
    # When a member comes, it serves too, and keepalived is the same
    place.serve(Lvs(members=MEMBERS))
    wait.until(lambda: place.ask(8) == {ONE: 4, TWO: 4}, "both answer in turn", 30)
    assert set(before) & set(keepalived(place.agent))
    # When one fails, the other has all, and it is told
    one.close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN", TWO: "UP"}, "the check sees it", 60)
    assert place.ask(8) == {TWO: 8}
    # When it is back, it serves again
    place.member(ONE)
    wait.until(lambda: place.ask(8) == {ONE: 4, TWO: 4}, "both answer again", 30)
    # When one is disabled
    place.serve(Lvs(members={TWO: MEMBERS[TWO]}, disabled=(ONE,)))
    wait.until(lambda: place.ask(4) == {TWO: 4}, "only the other answers", 30)
    # When the listener is stopped, nobody answers; and it starts again
    assert place.act("stop")[0] == 202
    assert "UDP" not in place.table()
    assert place.ask(1) == {"": 1}
    assert not keepalived(place.agent)
    assert place.act("start")[0] == 202
    wait.until(lambda: place.ask(1) == {TWO: 1}, "it answers again", 30)
    # When it is deleted, nothing of it is left
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert place.agent.local("GET", "/1.0/listeners").body == []
    assert place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener").status == 404
    assert "UDP" not in place.table()
    assert not keepalived(place.agent)
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 404


def test_listener_outlives_its_keepalived_and_the_agent(place: Place) -> None:
    place.member(ONE)
    place.serve(Lvs(members={ONE: MEMBERS[ONE]}))
    wait.until(lambda: place.ask(1) == {ONE: 1}, "it answers", 30)
    # When the agent is killed and started again, keepalived is the same
    before = keepalived(place.agent)
    place.agent.kill()
    place.agent.start()
    assert keepalived(place.agent) == before
    assert place.ask(4) == {ONE: 4}
    # When keepalived is killed, datagrams still arrive, and another one comes
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in before:
            os.kill(pid, number)
    assert place.ask(4) == {ONE: 4}
    wait.until(lambda: keepalived(place.agent), "keepalived runs again", 60)
    assert place.ask(4) == {ONE: 4}
    # When a killed one is deleted, nothing is left in the kernel
    place.agent.kill()
    for pid in keepalived(place.agent):
        os.kill(pid, signal.SIGKILL)
    place.agent.start()
    wait.until(lambda: keepalived(place.agent), "keepalived runs again", 60)
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert "UDP" not in place.table()


def test_refused_configurations_change_nothing(place: Place) -> None:
    place.member(ONE)
    good = Lvs(members={ONE: MEMBERS[ONE]})
    place.serve(good)
    path = f"/1.0/listeners/{AMPHORA_ID}/{LISTENER}/udp_listener"
    for bad, complaint in (
        (good.text().replace("/var/lib/octavia/lvs/check/udp_check.sh", "/bin/sh"), "/bin/sh"),
        (good.text().replace("NAT", "DR"), "lb_kind"),
        (good.text().replace("protocol UDP", "protocol TCP"), "protocol"),
        (good.text() + "include /etc/passwd\n", "include"),
        (good.text() + "}\n", "never opened"),
    ):
        reply = place.agent.local("PUT", path, bad)
        assert (reply.status, reply.body["message"]) == (400, "Invalid request")
        assert complaint in reply.body["details"]
    reply = place.agent.local("GET", f"/1.0/listeners/{LISTENER}/udp_listener")
    assert reply.body == good.text()
    # And another listener cannot have its port
    assert place.put(Lvs(members=MEMBERS, id=OTHER))[0] == 200
    status, body = place.act("start", OTHER)
    assert status == 500
    assert "another listener has UDP port 53" in body["details"]
    assert place.ask(4) == {ONE: 4}


def test_traffic_and_members_are_in_the_heartbeat(place: Place) -> None:
    place.member(ONE)
    lvs = Lvs(members=MEMBERS, weights={TWO: 0}, check="", disabled=("x",))
    place.serve(lvs)
    wait.until(lambda: place.ask(1) == {ONE: 1}, "it answers", 30)
    details = place.agent.local("GET", "/1.0/details").body
    assert details["listeners"] == [LISTENER]
    listeners = listeners_of(place.agent, place.node)

    def said() -> dict[str, Any]:
        return message(listeners.snapshot(), amphora_id="a", sequence=1)

    # The kernel adds its counters up every two seconds.
    wait.until(lambda: said()["listeners"][LISTENER]["stats"]["totconns"], "it is counted", 30)
    found = said()["listeners"][LISTENER]
    assert found["status"] == "OPEN"
    assert found["stats"]["rx"] >= len("who") + 28
    assert found["stats"]["tx"] >= len(ONE) + 28
    assert said()["pools"] == {
        POOL: {"status": "UP", "members": {"x": "MAINT", ONE: "no check", TWO: "DRAIN"}}
    }


def test_listener_serves_by_ipv6(place: Place) -> None:
    place.answer("fd00:19::1", ONE)
    place.serve(Lvs(vip=VIP6, members={ONE: "fd00:19::1"}))
    wait.until(lambda: place.ask(1, vip=VIP6) == {ONE: 1}, "it answers", 60)
    assert place.statuses() == {ONE: "UP"}
    assert place.agent.local("DELETE", f"/1.0/listeners/{LISTENER}").status == 200
    assert "UDP" not in place.table()


def test_sctp_listener_serves(place: Place) -> None:
    try:
        place.member(ONE, sctp=True)
    except OSError as error:
        pytest.skip(f"this kernel has no SCTP: {error}")
    place.serve(Lvs(members={ONE: MEMBERS[ONE]}, protocol="SCTP", check=SCTP_CHECK))

    def ask() -> Counter[str]:
        return place.ask(1, kind=socket.SOCK_STREAM, protocol=socket.IPPROTO_SCTP)

    wait.until(lambda: ask() == {ONE: 1}, "it answers", 30)
    assert place.agent.local("GET", "/1.0/listeners").body == [
        {"status": "ACTIVE", "uuid": LISTENER, "type": "SCTP"}
    ]
    place.served[0].close()
    wait.until(lambda: place.statuses() == {ONE: "DOWN"}, "the check sees it", 30)
