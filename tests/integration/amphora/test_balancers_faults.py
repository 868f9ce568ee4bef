"""Configurations that cannot be served, HAProxies that hang, agents that are killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from http.client import HTTPException

import pytest

from tests.support import folders
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities
from tests.support.backends import HttpBackend
from tests.support.balancers import UPLOAD, act, ports, statuses, upload, worker_pid
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
    Proxy,
    configuration,
)
from tests.support.ports import free_port
from tests.support.traffic import get, refused
from tests.support.wait import until


def test_configuration_with_a_fault_changes_nothing_and_names_the_senders_line(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given one that serves
    good = configuration(Proxy(port=port, members=ports(backends)))
    upload(amphora, good)
    act(amphora, "start")

    # When one comes that HAProxy refuses
    lines = good.split("\n")
    at = lines.index("    option redispatch")
    lines[at] = "    option no-such-option"
    reply = amphora.call("PUT", UPLOAD, "\n".join(lines))

    # Then its words come back with the line's number in what was sent
    assert reply.status == 400
    assert reply.body["message"] == "Invalid request"
    assert f"[haproxy.cfg:{at + 1}]" in reply.body["details"]
    assert str(amphora.folder) not in reply.body["details"]

    # And what was there is there still, over a reload too
    assert amphora.call("GET", f"/1.0/loadbalancer/{BALANCER}/haproxy").body == good
    assert act(amphora, "reload")[0] == 202
    assert get(port).status == 200


def test_refused_first_configuration_leaves_nothing(amphora: Amphora) -> None:
    reply = amphora.call("PUT", UPLOAD, "frontend x\n    lua-load /tmp/x.lua\n")
    assert reply.status == 400
    assert "lua-load" in reply.body["details"]
    assert amphora.call("GET", "/1.0/listeners").body == []
    assert amphora.call("GET", f"/1.0/loadbalancer/{BALANCER}/haproxy").status == 404
    assert not list((amphora.state_dir / "balancers").iterdir())


def test_listener_is_an_error_while_its_haproxy_hangs_and_none_of_this_is_an_http_error(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a HAProxy that hangs
    upload(amphora, configuration(Proxy(port=port, members=ports(backends))))
    act(amphora, "start")
    pids = [pid for pid in amphora.pids() if pid == worker_pid(amphora)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    # Then its listener is in error, and active again as soon as it answers
    assert statuses(amphora) == {LISTENER: "ERROR"}
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    until(lambda: statuses(amphora) == {LISTENER: "ACTIVE"}, "the listener is active")


@pytest.mark.slow
def test_haproxy_that_hangs_fails_a_reload_and_is_never_doubled(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a HAProxy that hangs, and a configuration that waits for its reload
    upload(amphora, configuration(Proxy(port=port, members=ports(backends))))
    act(amphora, "start")
    newer = Proxy(port=port, members=ports(backends), frontend_lines=("option dontlognull",))
    upload(amphora, configuration(newer))
    masters, worker = amphora.masters(), worker_pid(amphora)
    os.kill(worker, signal.SIGSTOP)

    # When it is told to reload
    status, body = act(amphora, "reload")

    # Then that fails for this reason, and there is no other HAProxy
    assert (status, body["message"]) == (500, "Error reloading haproxy")
    assert "does not answer" in body["details"]
    assert amphora.masters() == masters

    # And it succeeds when HAProxy goes on
    os.kill(worker, signal.SIGCONT)
    until(lambda: act(amphora, "reload")[0] == 202, "it is reloaded")
    assert get(port).status == 200


def test_port_that_is_taken_fails_the_start_and_leaves_what_was(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given one that serves, and another program's port
    upload(amphora, configuration(Proxy(port=port, members=ports(backends))))
    act(amphora, "start")
    taken = backends[MEMBERS[0]].port

    # When a configuration wants that port
    upload(amphora, configuration(Proxy(port=taken, members=ports(backends, MEMBERS[1]))))
    status, body = act(amphora, "reload")

    # Then the reload fails with the reason, and the old one serves on
    assert status == 500
    assert body["message"] == "Error reloading haproxy"
    assert "Address already in use" in body["details"]
    assert get(port).status == 200
    assert statuses(amphora) == {LISTENER: "ACTIVE"}


def test_killed_agent_comes_back_to_what_was_served_and_stopped_ones_stay_so(
    amphora: Amphora, backends: dict[str, HttpBackend], port: int
) -> None:
    # Given a load balancer that serves and one that was stopped
    stopped, its_port = "04bff5c3-5862-4a13-b9e3-9b440d0ed50a", free_port()
    upload(amphora, configuration(Proxy(port=port, members=ports(backends))))
    act(amphora, "start")
    text = configuration(Proxy(id=stopped, port=its_port, members=ports(backends)))
    amphora.call("PUT", f"/v0.1/listeners/{AMPHORA_ID}/{stopped}/haproxy", text)
    for action in ("start", "stop"):
        assert amphora.call("PUT", f"/v0.1/listeners/{stopped}/{action}").status == 202
    worker = worker_pid(amphora)

    # When the agent is killed and started again
    amphora.kill()
    assert get(port).status == 200
    amphora.start()

    # Then it has taken over the process that served meanwhile
    assert statuses(amphora) == {LISTENER: "ACTIVE", stopped: "STOPPED"}
    assert worker_pid(amphora) == worker

    # And after a reboot, which ends HAProxy too, the same is served
    amphora.close()
    amphora.start()
    assert statuses(amphora) == {LISTENER: "ACTIVE", stopped: "STOPPED"}
    assert get(port).status == 200
    assert refused(its_port)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("reload", "before_text"),
        ("reload", "after_text"),
        ("reload", "during_reload"),
        ("run time", "after_text"),
        ("run time", "after_runtime"),
    ],
)
def test_agent_killed_in_the_middle_of_a_change_converges_on_the_old_or_the_new_text(
    authorities: Authorities,
    backends: dict[str, HttpBackend],
    port: int,
    place: str,
    change: str,
) -> None:
    def proxy(member: str, mark: str) -> str:
        lines = (f"http-response set-header X-Mark {mark}",) if change == "reload" else ()
        return configuration(
            Proxy(port=port, members=ports(backends, member), frontend_lines=lines, check="")
        )

    with Amphora(folder=folders.folder(), authorities=authorities) as agent:
        # Given a text that serves, and an agent that will be killed at a step of a change
        agent.start()
        upload(agent, proxy(MEMBERS[0], "old"))
        act(agent, "start")
        upload(agent, proxy(MEMBERS[1], "new"))
        agent.stop()
        agent.start(crash_at=place)

        # When it is told to bring the other text into force
        with suppress(OSError, HTTPException):
            act(agent, "reload")
        if agent.process is not None and agent.process.poll() is None:
            agent.kill()
        served = get(port)
        assert served.body.decode() in MEMBERS[:2]
        agent.start()

        # Then it is one of both, whole, and what it will be after the next crash of HAProxy
        until(lambda: statuses(agent) == {LISTENER: "ACTIVE"}, "it is served")
        served = get(port)
        if change == "reload":
            assert (served.body.decode(), served.headers["X-Mark"]) in zip(
                MEMBERS[:2], ("old", "new"), strict=True
            )
        agent.close()
        agent.start()
        assert get(port).body == served.body

        # And the next change works
        upload(agent, proxy(MEMBERS[2], "newest"))
        assert act(agent, "reload")[0] == 202
        assert get(port).body.decode() == MEMBERS[2]
