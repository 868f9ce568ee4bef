"""A report is told in parts that Octavia can take, and from below."""

from __future__ import annotations

from libra_octavia.agent.octavia import MOST_AT_ONCE, parts_of


def rows(prefix: str, count: int) -> list[dict[str, str]]:
    return [{"id": f"{prefix}{number}", "provisioning_status": "ACTIVE"} for number in range(count)]


def test_a_small_load_balancer_is_one_report() -> None:
    whole = {"loadbalancers": rows("lb", 1), "listeners": rows("l", 3), "members": rows("m", 9)}
    assert list(parts_of(whole)) == [whole]


def test_a_big_one_is_told_in_parts_of_which_the_last_has_the_load_balancer() -> None:
    whole = {
        "loadbalancers": rows("lb", 1),
        "listeners": rows("l", 10),
        "pools": rows("p", 20),
        "l7policies": rows("x", 50),
        "l7rules": rows("r", 50),
        "members": rows("m", 200),
    }
    parts = list(parts_of(whole))
    told = [row["id"] for part in parts for section in part.values() for row in section]
    assert sorted(told) == sorted(row["id"] for section in whole.values() for row in section)
    assert all(sum(map(len, part.values())) <= MOST_AT_ONCE for part in parts)
    # Octavia's driver-agent takes the longer, the more of these there are.
    slow = [len(part.get("l7policies", ())) + len(part.get("l7rules", ())) for part in parts]
    assert max(slow) == MOST_AT_ONCE / 10
    assert told[-1] == "lb0"
    assert told.index("m199") < told.index("p0") < told.index("r0") < told.index("l0")


def test_nothing_to_tell_is_no_report() -> None:
    assert list(parts_of({})) == []
