"""What was served last is known without asking Octavia, as long as nobody may have changed it."""

from __future__ import annotations

from libra_octavia.agent.index import index
from libra_octavia.agent.latest import Latest
from tests.support.octavia_trees import listener, member, pool, tree


def test_what_was_served_is_known_without_what_went_and_without_any_secret() -> None:
    key = {"private_key": "secret"}
    front = listener(listener_id="l", default_tls_container_data=key, admin_state_up=False)
    behind = pool(pool_id="p", members=[member(member_id="m1"), member(member_id="m2")])
    latest = Latest()
    found = index(tree([front], [behind], loadbalancer_id="lb"))
    latest.keep("lb", found, fence=3, without={"m1"})
    kept = latest.of("lb", fence=3)
    assert kept is not None
    assert set(kept.objects) == {"lb", "l", "p", "m2"}
    assert list(kept.members("p")) == ["m2"]
    assert kept.objects["l"].fields == {"admin_state_up": False}
    assert "secret" not in repr(kept)


def test_what_somebody_else_claimed_is_not_known() -> None:
    latest = Latest()
    latest.keep("lb", index(tree([], [], loadbalancer_id="lb")), fence=3, without=())
    assert latest.of("lb", fence=4) is None
    assert latest.of("other", fence=3) is None


def test_only_so_many_are_kept() -> None:
    latest = Latest()
    for number in range(1000):
        name = str(number)
        latest.keep(name, index(tree([], [], loadbalancer_id=name)), fence=1, without=())
    known = [number for number in range(1000) if latest.of(str(number), fence=1)]
    assert known == list(range(1000 - len(known), 1000))
    assert 0 < len(known) < 1000
