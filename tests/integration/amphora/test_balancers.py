"""A controller's configurations by the API: checked, served, changed, reported, ended."""

from __future__ import annotations

from typing import Any

import pytest

from libra_haproxy import text_stat
from tests.support import folders
from tests.support.amphora import Amphora, Authorities
from tests.support.backends import HttpBackend
from tests.support.balancers import Getting, act, details, ports, statuses, upload, worker_pid
from tests.support.load import Wrk
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
    OTHER_LISTENER,
    Proxy,
    configuration,
)
from tests.support.ports import free_port
from tests.support.traffic import bodies, get, refused, serves
from tests.support.wait import until


def test_uploaded_configuration_is_kept_as_it_came_and_served_from_the_next_start(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a configuration that was uploaded
    text = configuration(Proxy(port=port, members=ports(backends)))
    upload(amphora, text)

    # Then it is given back byte for byte, serves nothing, and its listener is stopped
    reply = amphora.call("GET", f"/1.0/loadbalancer/{BALANCER}/haproxy")
    assert (reply.status, reply.body) == (200, text)
    assert refused(port)
    assert statuses(amphora) == {LISTENER: "STOPPED"}

    # When it is started
    status, body = act(amphora, "start")

    # Then it serves, and says so in the documents' words
    assert (status, body) == (
        202,
        {
            "message": "OK",
            "details": f"Configuration file is valid\nhaproxy daemon for {BALANCER} started",
        },
    )
    assert set(bodies(port, 6)) == set(MEMBERS)
    assert statuses(amphora) == {LISTENER: "ACTIVE"}


def test_stop_refuses_traffic_and_start_brings_it_back(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    upload(amphora, configuration(Proxy(port=port, members=ports(backends))))
    act(amphora, "start")

    assert act(amphora, "stop")[0] == 202
    assert refused(port)
    assert statuses(amphora) == {LISTENER: "STOPPED"}

    assert act(amphora, "reload")[0] == 202
    assert get(port).status == 200


def test_members_come_go_and_change_weight_without_a_reload(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given two members that serve
    first, second, third = MEMBERS
    upload(amphora, configuration(Proxy(port=port, members=ports(backends, first, second))))
    act(amphora, "start")
    worker = worker_pid(amphora)

    # When one is added, one removed and one re-weighted
    upload(amphora, configuration(Proxy(port=port, members=ports(backends, *MEMBERS))))
    assert act(amphora, "reload")[0] == 202
    assert set(bodies(port, 9)) == set(MEMBERS)
    changed = Proxy(port=port, members=ports(backends, second, third), weights={second: 0})
    upload(amphora, configuration(changed))
    assert act(amphora, "reload")[0] == 202

    # Then only those with a weight answer, and it was one process all the time
    assert set(bodies(port, 6)) == {third}
    assert worker_pid(amphora) == worker

    # And a reload that has other reasons changes nothing of that
    more = Proxy(
        port=port,
        members=ports(backends, second, third),
        weights={second: 0},
        frontend_lines=("http-request set-header X-More yes",),
    )
    upload(amphora, configuration(more))
    assert act(amphora, "reload")[0] == 202
    assert worker_pid(amphora) != worker
    assert set(bodies(port, 6)) == {third}


@pytest.mark.slow
def test_no_request_is_lost_by_reloads(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given kept-alive and new connections all the time
    def text(mark: int) -> str:
        lines = (f"http-request set-header X-Mark {mark}",)
        return configuration(
            Proxy(port=port, members=ports(backends), frontend_lines=lines, check="")
        )

    upload(amphora, text(0))
    act(amphora, "start")
    loads = [Wrk(port, seconds=8, keep_alive=keep) for keep in (True, False)]

    # When it is reloaded ten times
    for mark in range(1, 11):
        upload(amphora, text(mark))
        assert act(amphora, "reload")[0] == 202

    # Then none failed
    for load in loads:
        tally = load.tally()
        assert tally.done > 0
        assert not tally.failures


def test_one_of_two_listeners_is_deleted_and_the_other_serves_on(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given two listeners of a load balancer
    other = free_port()
    upload(
        amphora,
        configuration(
            Proxy(port=port, members=ports(backends, MEMBERS[0])),
            Proxy(id=OTHER_LISTENER, port=other, members=ports(backends, MEMBERS[1])),
        ),
    )
    act(amphora, "start")
    assert statuses(amphora) == {LISTENER: "ACTIVE", OTHER_LISTENER: "ACTIVE"}

    # When one is deleted
    assert amphora.call("DELETE", f"/1.0/listeners/{LISTENER}").status == 200

    # Then the other serves on, and it is not in the configuration any more
    assert statuses(amphora) == {OTHER_LISTENER: "ACTIVE"}
    assert refused(port)
    assert serves(other, MEMBERS[1].encode())
    text = amphora.call("GET", f"/1.0/loadbalancer/{BALANCER}/haproxy").body
    assert LISTENER not in text

    # And with the last one all is gone: processes, files, sockets
    assert amphora.call("DELETE", f"/1.0/listeners/{OTHER_LISTENER}").status == 200
    assert refused(other)
    assert not list((amphora.state_dir / "balancers").iterdir())
    assert not list(amphora.run_dir.glob("*/admin.sock"))
    assert amphora.call("DELETE", f"/1.0/listeners/{OTHER_LISTENER}").status == 404
    until(lambda: not amphora.pids(), "no process is left")


def test_pools_and_members_are_told_truly(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a pool with a member that is there and one that is not
    members = {MEMBERS[0]: backends[MEMBERS[0]].port, MEMBERS[1]: free_port()}
    upload(amphora, configuration(Proxy(port=port, members=members)))
    act(amphora, "start")

    # Then the dead one is DOWN, and the pool DEGRADED
    def told() -> Any:
        return amphora.call("GET", f"/v0.1/listeners/{LISTENER}").body

    until(lambda: told()["pools"][0]["status"] == "DEGRADED", "the pool is degraded")
    assert told() == {
        "status": "ACTIVE",
        "uuid": LISTENER,
        "type": "HTTP",
        "pools": [
            {
                "uuid": "399bbf4b-5f6c-4370-a61e-ed2ff2fc9387",
                "status": "DEGRADED",
                "members": [{MEMBERS[0]: "UP"}, {MEMBERS[1]: "DOWN"}],
            }
        ],
    }


def test_check_by_ping_is_made_by_our_own_program(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a configuration with Octavia's check, whose program is not on this machine
    lines = ("option external-check", "external-check command /var/lib/octavia/ping-wrapper.sh")
    proxy = Proxy(port=port, members=ports(backends, MEMBERS[0]), backend_lines=lines)
    wanted = "    external-check\n    insecure-fork-wanted\n"
    upload(amphora, configuration(proxy).replace("    daemon\n", wanted, 1))
    assert act(amphora, "start")[0] == 202

    # Then checks run a program, whatever it says of the member
    def ran() -> bool:
        (socket,) = amphora.run_dir.glob("*/admin.sock")
        (row,) = text_stat.stat(socket).servers.values()
        return "PROC" in row["check_status"]

    until(ran, "the check has run its program")


def test_agent_of_an_ordinary_user_serves_on_a_high_port(
    authorities: Authorities, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given an agent without any right
    with Amphora(folder=folders.folder(), authorities=authorities) as agent:
        agent.run_as_nobody()
        agent.start()

        # Then the whole life works
        upload(agent, configuration(Proxy(port=port, members=ports(backends))))
        assert act(agent, "start")[0] == 202
        assert get(port).status == 200
        name = f"/1.0/loadbalancer/{BALANCER}/certificates/www.example.com.pem"
        assert agent.call("PUT", name, authorities.server("www.example.com")).status == 201
        assert agent.call("PUT", "/1.0/certificate", authorities.server()).status == 202
        assert agent.call("GET", "/1.0/details").status == 200
        assert act(agent, "stop")[0] == 202
        assert agent.call("DELETE", f"/1.0/listeners/{BALANCER}").status == 200


def test_server_that_a_check_found_down_gets_nothing_through_reloads(
    amphora: Amphora, port: int
) -> None:
    # Given a pool with a member that is sick: it would answer clients, but its checks fail
    with HttpBackend(MEMBERS[0]) as sick, HttpBackend(MEMBERS[1]) as sound:
        asked: list[str] = []
        sick.on_path = asked.append
        sick.failing.add("/health")

        def text(timeout: int, *, check: str = " check inter 2s fall 2 rise 2") -> str:
            proxy = Proxy(
                port=port,
                members={one.name: one.port for one in (sick, sound)},
                backend_lines=("option httpchk GET /health",) if check else (),
                check=check,
            )
            return configuration(proxy).replace("client 50000", f"client {timeout}")

        upload(amphora, text(50000))
        assert act(amphora, "start")[0] == 202
        until(lambda: details(amphora)[MEMBERS[0]] == "DOWN", "the check has failed", 30)
        asked.clear()
        # When its load balancer is reloaded again and again, under load
        with Getting(port) as getting:
            for number in range(20):
                upload(amphora, text(50001 + number))
                assert act(amphora, "reload")[0] == 202
                assert details(amphora)[MEMBERS[0]] == "DOWN"
        # Then it never gets a request of a client, and nobody notices anything
        assert getting.wrong == []
        assert getting.bodies.keys() == {MEMBERS[1]}
        assert set(asked) <= {"/health"}
        # When its checks pass, it serves
        sick.failing.clear()
        until(lambda: MEMBERS[0] in bodies(port, 10), "it serves", 30)
        # And it serves too when it fails again and is no longer checked
        sick.failing.add("/health")
        until(lambda: details(amphora)[MEMBERS[0]] == "DOWN", "the check has failed", 30)
        upload(amphora, text(60000, check=""))
        assert act(amphora, "reload")[0] == 202
        until(lambda: MEMBERS[0] in bodies(port, 10), "it serves unchecked", 10)


def test_number_of_a_server_is_the_same_after_it_came_at_run_time_and_after_a_reload(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    def numbers() -> dict[str, str]:
        (path,) = amphora.run_dir.glob("*/admin.sock")
        return {name: row["sid"] for (_, name), row in text_stat.stat(path).servers.items()}

    def text(*ids: str) -> str:
        return configuration(Proxy(port=port, members=ports(backends, *ids)))

    upload(amphora, text(MEMBERS[0]))
    act(amphora, "start")
    before = numbers()
    (master,) = amphora.masters()
    upload(amphora, text(MEMBERS[2], MEMBERS[0]))
    act(amphora, "reload")
    came = numbers()
    assert amphora.said().count("reloading") == 0
    upload(amphora, text(MEMBERS[2], MEMBERS[0]).replace("client 50000", "client 50001"))
    act(amphora, "reload")
    assert amphora.masters() == [master]
    assert came == numbers() == before | {MEMBERS[2]: came[MEMBERS[2]]}
    assert len(set(came.values())) == 2
