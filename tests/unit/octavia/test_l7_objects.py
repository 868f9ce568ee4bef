"""Policies and rules are read whole, or refused with the name of each field."""

from __future__ import annotations

from typing import Any

import pytest

from libra_octavia.l7 import Action, Compare, RuleType
from libra_octavia.objects import Unsupported, read_policy, read_rule
from libra_octavia.objects.regex import wrong_with
from libra_octavia.render import Place, render
from libra_octavia.translate import servable, translate
from tests.support.octavia_trees import listener, policy, pool, rule, tree
from tests.unit.octavia.test_objects import refused

EQUAL = {"compare_type": "EQUAL_TO"}


def test_each_field_of_a_rule_is_read() -> None:
    found = read_rule(
        rule(
            l7rule_id="r",
            type="HEADER",
            compare_type="REGEX",
            key="X-A",
            value="^a b$",
            invert=True,
            admin_state_up=False,
        )
    )
    assert (found.id, found.type, found.compare) == ("r", RuleType.HEADER, Compare.REGEX)
    assert (found.key, found.value, found.invert, found.enabled) == ("X-A", "^a b$", True, False)


def test_each_field_of_a_policy_is_read() -> None:
    found = read_policy(
        policy(
            l7policy_id="x",
            action="REDIRECT_PREFIX",
            position=7,
            redirect_prefix="http://a/",
            redirect_http_code=308,
            admin_state_up=False,
            rules=[rule(l7rule_id="r")],
        )
    )
    assert (found.id, found.action, found.position) == ("x", Action.REDIRECT_PREFIX, 7)
    assert (found.url, found.code, found.enabled) == ("http://a/", 308, False)
    assert [one.id for one in found.rules] == ["r"]


def test_what_another_action_left_behind_means_nothing() -> None:
    found = read_policy(
        policy(action="REJECT", redirect_prefix="\n", redirect_http_code=1, redirect_pool_id="p")
    )
    assert (found.url, found.pool_id) == (None, None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": "WEATHER"}, "type"),
        ({"compare_type": "LIKE"}, "compare_type"),
        ({"type": "FILE_TYPE", "compare_type": "CONTAINS"}, "compare_type"),
        ({"type": "HEADER"}, "key"),
        ({"type": "HEADER", "key": "X),lower"}, "key"),
        ({"type": "COOKIE", "key": "a b"}, "key"),
        ({"type": "SSL_DN_FIELD", "key": "C N"}, "key"),
        ({"type": "PATH", "key": "x"}, "key"),
        ({"value": ""}, "value"),
        ({"value": None}, "value"),
        ({"value": 7}, "value"),
        ({"value": "x" * 256}, "value"),
        ({"compare_type": "REGEX", "value": "("}, "value"),
        ({"type": "SSL_CONN_HAS_CERT", **EQUAL, "value": "false"}, "value"),
        ({"type": "SSL_VERIFY_RESULT", **EQUAL, "value": "²"}, "value"),
        ({"value": "a,fd@3"}, "value"),
        ({"value": "map_beg(/etc/passwd)"}, "value"),
        ({"invert": 1}, "invert"),
        ({"a_field_of_tomorrow": 1}, "a_field_of_tomorrow"),
    ],
)
def test_what_a_rule_cannot_have_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    assert refused(read_rule, rule(**fields), named)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"action": "REGRET"}, "action"),
        ({"action": "REDIRECT_TO_POOL"}, "redirect_pool_id"),
        ({"action": "REDIRECT_TO_URL"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "/relative"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "gopher://a/"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "http:///path"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "http://a:x/"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "http://[::g]/"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "http://a/%zz"}, "redirect_url"),
        ({"action": "REDIRECT_TO_URL", "redirect_url": "http://ä.org/"}, "redirect_url"),
        ({"action": "REDIRECT_PREFIX", "redirect_prefix": "http://a/ b"}, "redirect_prefix"),
        (
            {
                "action": "REDIRECT_TO_URL",
                "redirect_url": "http://a/",
                "redirect_http_code": 304,
            },
            "redirect_http_code",
        ),
        ({"position": 0}, "position"),
        ({"rules": [rule(value="")]}, "rules.value"),
        ({"rules": [rule() for _ in range(51)]}, "rules"),
    ],
)
def test_what_a_policy_cannot_have_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    assert refused(read_policy, policy(**fields), named)


@pytest.mark.parametrize(
    "pattern",
    [r"\N{DASH}", r"\u0041", "(?u:a)", "(?P<" + "n" * 33 + ">a)", "a{70000}", "[[a]--b]", "*", ""],
)
def test_what_only_python_takes_for_an_expression_is_refused(pattern: str) -> None:
    with pytest.raises(Unsupported):
        read_rule(rule(compare_type="REGEX", value=pattern))
    assert pattern == "" or wrong_with(pattern)


def served(*policies: dict[str, Any], protocol: str = "HTTP") -> list[str]:
    """The policies that are served."""
    behind = pool(pool_id="p")
    front = listener(listener_id="l", protocol=protocol, l7policies=list(policies))
    found = servable(tree([front], [behind])).balancer.listeners
    return [one.id for front in found for one in front.policies]


def test_policies_are_in_the_order_of_their_positions() -> None:
    found = [policy(l7policy_id=f"x{number}", position=number) for number in (3, 1, 2)]
    assert served(*found) == ["x1", "x2", "x3"]


def test_a_policy_goes_with_a_rule_that_cannot_be_served_as_it_would_match_too_much() -> None:
    to_pool = {"action": "REDIRECT_TO_POOL", "redirect_pool_id": "p"}
    bad = policy(l7policy_id="bad", **to_pool, rules=[rule(), rule(l7rule_id="r", value="\n")])
    good = policy(l7policy_id="good", **to_pool, rules=[rule()])
    assert served(bad, good) == ["good"]
    found = servable(tree([listener(l7policies=[bad, good])], [pool(pool_id="p")]))
    assert set(found.refused) == {"bad", "r"}


def test_a_listener_that_cannot_reject_what_it_should_serves_nobody() -> None:
    bad = policy(l7policy_id="bad", action="REJECT", rules=[rule(l7rule_id="r", value="\n")])
    found = servable(tree([listener(listener_id="l", l7policies=[bad])], []))
    assert found.balancer.listeners == ()
    assert set(found.refused) == {"l", "bad", "r"}
    # A policy that is down rejects nobody.
    down = bad | {"admin_state_up": False}
    found = servable(tree([listener(listener_id="l", l7policies=[down])], []))
    assert [one.id for one in found.balancer.listeners] == ["l"]


def test_policies_need_a_listener_that_reads_requests() -> None:
    found = servable(
        tree([listener(listener_id="l", protocol="TCP", l7policies=[policy(l7policy_id="x")])], [])
    )
    assert set(found.refused) == {"x"}
    assert [one.id for one in found.balancer.listeners] == ["l"]


def test_a_pool_that_does_not_fit_a_policys_listener_takes_the_policy_alone() -> None:
    behind = pool(pool_id="p", protocol="TCP")
    to_it = policy(l7policy_id="x", action="REDIRECT_TO_POOL", redirect_pool_id="p")
    found = servable(tree([listener(listener_id="l", l7policies=[to_it])], [behind]))
    assert set(found.refused) == {"x"}
    assert "redirect_pool_id" in str(found.refused["x"])
    assert [one.id for one in found.balancer.listeners] == ["l"]


def test_a_rule_that_is_being_deleted_is_compared_no_more_and_the_last_takes_the_policy() -> None:
    one, two = rule(l7rule_id="r1", value="/a"), rule(l7rule_id="r2", value="/b")
    found = tree([listener(l7policies=[policy(rules=[one, two])])], [])
    assert "'/a'" in render(translate(found), Place())
    text = render(translate(found, without=["r1"]), Place())
    assert "'/a'" not in text
    assert "'/b'" in text
    assert "deny" not in render(translate(found, without=["r1", "r2"]), Place())
