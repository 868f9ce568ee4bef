"""What is said of a load balancer, from its text and HAProxy's own figures."""

from __future__ import annotations

import pytest

from libra_amphora import reporting
from libra_amphora.reporting import View
from libra_haproxy.text import parse
from libra_haproxy.text_stat import Stat
from tests.support.octavia_text import (
    BALANCER,
    LISTENER,
    MEMBERS,
    OTHER_LISTENER,
    POOL,
    Proxy,
    configuration,
)

BACKEND = f"{POOL}:{LISTENER}"
TEXT = parse(configuration(Proxy(port=80, members=dict.fromkeys(MEMBERS, 1))))


def view(
    *words: str, frontend: str = "OPEN", backend: str = "UP", weight: str = "1", **more: object
) -> View:
    """A load balancer whose members HAProxy calls `words`, in their order."""
    stat = Stat(
        frontends={LISTENER: {"status": frontend}},
        backends={BACKEND: {"status": backend}},
        servers={
            (BACKEND, member): {"status": word, "weight": weight}
            for member, word in zip(MEMBERS, words, strict=False)
        },
    )
    given: dict[str, object] = {"id": BALANCER, "text": TEXT, "should_run": True, "stat": stat}
    return View(**{**given, **more})  # type: ignore[arg-type]


def told(seen: View) -> dict[str, object]:
    ((id_, frontend),) = reporting.listeners(seen).items()
    return reporting.details(seen, id_, frontend)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (view(), "ACTIVE"),
        (view(frontend="FULL"), "ACTIVE"),
        (view(frontend="STOP"), "ERROR"),
        (view(stat=None), "ERROR"),
        (view(stat=Stat()), "ERROR"),
        (view(stat=None, should_run=False), "STOPPED"),
    ],
)
def test_listener_is_active_only_while_haproxy_says_that_it_listens(
    seen: View, status: str
) -> None:
    assert told(seen)["status"] == status


@pytest.mark.parametrize(
    ("seen", "pool", "members"),
    [
        (view("UP", "UP 1/2", "no check"), "UP", ["UP", "UP", "UP"]),
        (view("UP", "DOWN 1/2", "UP"), "DEGRADED", ["UP", "DOWN", "UP"]),
        (view("UP", "MAINT", "DRAIN"), "DEGRADED", ["UP", "DOWN", "UP"]),
        (view("DOWN", "DOWN", "DOWN", backend="DOWN"), "DOWN", ["DOWN", "DOWN", "DOWN"]),
        (view("UP", "UP"), "DEGRADED", ["UP", "UP", "DOWN"]),
        (view(stat=None), "DOWN", ["DOWN", "DOWN", "DOWN"]),
    ],
)
def test_pool_is_degraded_while_some_of_its_members_are_down(
    seen: View, pool: str, members: list[str]
) -> None:
    assert told(seen)["pools"] == [
        {
            "uuid": POOL,
            "status": pool,
            "members": [{name: word} for name, word in zip(MEMBERS, members, strict=True)],
        }
    ]


def test_server_that_is_up_and_gets_nothing_drains() -> None:
    (pool,) = reporting.pools(view("UP", "UP", "DOWN", weight="0"))
    assert [member.status for member in pool.members] == ["DRAIN", "DRAIN", "DOWN"]
    assert (pool.id, pool.listener_id, pool.backend) == (POOL, LISTENER, BACKEND)


def test_listener_without_an_id_of_its_own_has_the_one_it_came_under() -> None:
    text = parse("frontend web\n    bind :80\nbackend b\n    server a 127.0.0.1:1\n")
    assert list(reporting.listeners(view(text=text))) == [BALANCER]


def test_octavias_internal_frontend_for_metrics_is_no_listener() -> None:
    text = parse(
        "frontend prometheus-exporter-internal-endpoint\n    bind 127.0.0.1:9101\n"
        f"frontend {OTHER_LISTENER}\n    bind :80\n"
        "backend prometheus-exporter-internal\n    server x 127.0.0.1:9102\n"
    )
    assert list(reporting.listeners(view(text=text))) == [OTHER_LISTENER]
    assert reporting.pools(view(text=text)) == []


def test_pools_of_other_listeners_are_not_told() -> None:
    text = parse(
        configuration(
            Proxy(port=80, members={MEMBERS[0]: 1}),
            Proxy(id=OTHER_LISTENER, pool=MEMBERS[1], port=81, members={MEMBERS[2]: 1}),
        )
    )
    both = view(text=text)
    for id_, frontend in reporting.listeners(both).items():
        pools = reporting.details(both, id_, frontend)["pools"]
        assert isinstance(pools, list)
        assert [pool["uuid"] for pool in pools] == [POOL if id_ == LISTENER else MEMBERS[1]]
