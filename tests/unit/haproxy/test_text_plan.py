"""From one text to the next at run time or by a reload, and whether HAProxy serves it then."""

from __future__ import annotations

import pytest

from libra_haproxy import text_plan, text_servers
from libra_haproxy.readings import ServerRow, Snapshot
from libra_haproxy.text import Text, parse
from libra_haproxy.text_confirm import differences
from libra_haproxy.text_plan import TextPlan
from tests.support.octavia_text import LISTENER, MEMBERS, Proxy, configuration
from tests.unit.haproxy.texts import proxied


def test_servers_come_go_and_change_at_run_time() -> None:
    new = proxied(
        members={MEMBERS[1]: 2, MEMBERS[2]: 3}, weights={MEMBERS[1]: 5}, disabled=[MEMBERS[2]]
    )
    plan = text_plan.plan(proxied(), new)
    assert isinstance(plan, TextPlan)
    backend = new.backends[0].name
    check = "check inter 1s fall 2 rise 2"
    number = text_servers.numbers(new.backends[0])[MEMBERS[2]]
    assert list(plan.commands) == [
        f"set server {backend}/{MEMBERS[1]} weight 5",
        f"add server {backend}/{MEMBERS[2]} 127.0.0.1:3 weight 1 {check} id {number}",
        f"enable health {backend}/{MEMBERS[2]}",
        f"set server {backend}/{MEMBERS[0]} state maint",
        f"del server {backend}/{MEMBERS[0]}",
    ]
    assert plan.removed == ((backend, MEMBERS[0]),)
    assert plan.added == ((backend, MEMBERS[2]),)
    assert {place: (one.weight, one.disabled) for place, one in plan.wanted.items()} == {
        (backend, MEMBERS[1]): (5, False),
        (backend, MEMBERS[2]): (1, True),
    }


def test_a_server_with_a_number_of_its_own_comes_at_run_time() -> None:
    # Given what Libra's own provider writes of a pool, before and after a member came
    old = "backend b:l\n balance leastconn\n server one 192.0.2.1:80 id 7 weight 1\n"
    plan = text_plan.plan(parse(old), parse(old + " server two 192.0.2.2:80 id 9 weight 3\n"))
    # Then it needs no reload, and has the number that the file gives it
    assert isinstance(plan, TextPlan)
    assert list(plan.commands) == [
        "add server b:l/two 192.0.2.2:80 weight 3 id 9",
        "enable server b:l/two",
    ]


def test_comments_and_spaces_take_nothing() -> None:
    other = configuration(Proxy(port=80, members={MEMBERS[0]: 1, MEMBERS[1]: 2}))
    plan = text_plan.plan(proxied(), parse("# new\n" + other.replace("    ", "\t")))
    assert plan == TextPlan()


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 81},
        {"mode": "tcp"},
        {"frontend_lines": ("http-request deny",)},
        {"members": {MEMBERS[0]: 9, MEMBERS[1]: 2}},
        {"members": {MEMBERS[0]: 1}, "balance": "source"},
        {"members": {MEMBERS[0]: 1}, "check": " check cookie x"},
    ],
)
def test_everything_else_is_a_reload(fields: dict[str, object]) -> None:
    assert isinstance(text_plan.plan(proxied(), proxied(**fields)), str)


@pytest.mark.parametrize(
    "fields",
    [
        {"balance": "source"},
        {"balance": "first"},
        {"backend_lines": ("cookie SRV insert indirect nocache",)},
        {"backend_lines": ("stick-table type ip size 1k", "stick on src")},
        {"check": " ssl verify none"},
        {"check": " cookie x"},
    ],
)
def test_backends_that_keep_clients_or_hash_are_reloaded(fields: dict[str, object]) -> None:
    more = proxied(members={name: n for n, name in enumerate(MEMBERS, 1)}, **fields)
    assert isinstance(text_plan.plan(proxied(**fields), more), str)


@pytest.mark.parametrize("line", ["default-server inter 2s", "cookie SRV insert"])
def test_servers_that_inherit_from_defaults_are_reloaded(line: str) -> None:
    old, new = (
        parse(f"defaults\n {line}\n" + configuration(Proxy(port=80, members=members)))
        for members in ({MEMBERS[0]: 1}, {MEMBERS[0]: 1, MEMBERS[1]: 2})
    )
    assert isinstance(text_plan.plan(old, new), str)


def test_many_changes_are_a_reload() -> None:
    many = proxied(members={f"m{number}": 1 for number in range(400)})
    assert text_plan.plan(proxied(), many) == "many servers have changed"


# -- what HAProxy serves --------------------------------------------------------------------------


def serving(
    rows: list[tuple[str, str, int, int, bool]], *, closed: bool = False
) -> tuple[Text, Snapshot, str]:
    text = proxied()
    backend = text.backends[0].name
    servers = [
        ServerRow(backend, name, 0, address, port, weight, maintenance=maintenance)
        for name, address, port, weight, maintenance in rows
    ]
    status = "STOP" if closed else "OPEN"
    seen = Snapshot(
        pid=1, digest="", servers=tuple(servers), frontends={text.frontends[0].name: status}
    )
    return text, seen, backend


BOTH = [(MEMBERS[0], "127.0.0.1", 1, 1, False), (MEMBERS[1], "127.0.0.1", 2, 1, False)]


def test_haproxy_that_has_the_names_of_a_text_serves_it() -> None:
    text, seen, _ = serving(BOTH)
    assert differences(text, seen=seen, changed={}) == []


def test_what_is_closed_missing_or_left_over_is_told() -> None:
    text, seen, backend = serving([BOTH[0], ("other", "127.0.0.1", 3, 1, False)], closed=True)
    assert differences(text, seen=seen, changed={}) == [
        f"{LISTENER} is not open",
        f"{backend}/{MEMBERS[1]} is missing",
        f"{backend}/other is still there",
    ]


@pytest.mark.parametrize("maintenance", [True, False])
def test_a_server_that_leaves_may_be_there_as_long_as_it_takes_nothing(maintenance: bool) -> None:
    text, seen, backend = serving([*BOTH, ("gone", "127.0.0.1", 3, 1, maintenance)])
    told = differences(text, seen=seen, leaving={(backend, "gone")}, changed={})
    assert told == ([] if maintenance else [f"{backend}/gone is still there"])


@pytest.mark.parametrize(
    "there",
    [
        ("127.0.0.2", 3, 1, False),
        ("127.0.0.1", 4, 1, False),
        ("127.0.0.1", 3, 2, False),
        ("127.0.0.1", 3, 1, True),
        ("-", 3, 1, False),
    ],
)
def test_a_server_changed_at_run_time_must_be_as_the_text_has_it(
    there: tuple[str, int, int, bool],
) -> None:
    # Given a server that came at run time, and a HAProxy that has an older one of its name
    new = proxied(members={MEMBERS[0]: 1, MEMBERS[1]: 2, MEMBERS[2]: 3})
    plan = text_plan.plan(proxied(), new)
    assert isinstance(plan, TextPlan)
    _, good, backend = serving([*BOTH, (MEMBERS[2], "127.0.0.1", 3, 1, False)])
    _, bad, _ = serving([*BOTH, (MEMBERS[2], *there)])
    # Then that is seen, and the right one is not complained of
    assert differences(new, seen=good, changed=plan.wanted) == []
    wrong = [f"{backend}/{MEMBERS[2]} is not as the text has it"]
    assert differences(new, seen=bad, changed=plan.wanted) == wrong
