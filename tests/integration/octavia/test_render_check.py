"""HAProxy itself accepts every file that is made, whatever a customer has typed in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from octavia_lib.api.drivers import data_models

from libra_haproxy.text import parse
from libra_haproxy.text_rules import complaints
from libra_octavia.objects import Unsupported
from libra_octavia.render import Place, render
from libra_octavia.translate import translate
from tests.support.haproxies import HAPROXIES, Haproxy
from tests.support.octavia_trees import (
    HOSTILE,
    TEXTS,
    listener,
    member,
    monitor,
    pool,
    spoilt,
    tree,
    trees,
)

PEERED = Place(peer=("device-1", "127.0.0.1", 1025))
_FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def accepted(haproxy: Haproxy, text: str, folder: Path) -> None:
    """Fail with what HAProxy says where it does not accept the text without a warning."""
    file = folder / "haproxy.cfg"
    file.write_text(text)
    done = subprocess.run(
        [haproxy.path(), "-c", "-L", "device-1", "-f", str(file)],
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "[ALERT]" in line or "[WARNING]" in line]
    said = [line for line in said if "non-trivial to secure" not in line]
    assert (done.returncode, said) == (0, []), f"{done.stderr}\n{text}"


@pytest.mark.parametrize("haproxy", HAPROXIES, ids=str)
@_FEW
@given(found=trees())
def test_each_tree_makes_a_file_that_haproxy_accepts(
    haproxy: Haproxy, tmp_path: Path, found: data_models.LoadBalancer
) -> None:
    text = render(translate(found), PEERED)
    if text:
        accepted(haproxy, text, tmp_path)
        # And a node of ours lets it run.
        assert complaints(parse(text), known=lambda _word, _path: False) == []
    assert text == render(translate(found), PEERED)


@pytest.mark.parametrize("haproxy", HAPROXIES, ids=str)
def test_ipv6_address_of_a_monitor_is_not_taken_for_one_with_a_port(
    haproxy: Haproxy, tmp_path: Path
) -> None:
    one = member(monitor_address="2001:db8::")
    both = pool(members=[one], healthmonitor=monitor())
    front = listener(default_pool_id=both["pool_id"], default_pool=both)
    text = render(translate(tree([front], [both])), PEERED)
    assert text is not None
    assert "addr [2001:db8::]" in text
    accepted(haproxy, text, tmp_path)


@pytest.mark.parametrize("where", TEXTS, ids=".".join)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(text=HOSTILE)
@example(text="\n    server evil 192.0.2.9:1")
@example(text="x'\n#")
def test_hostile_text_is_refused_by_name_or_harmless(
    where: tuple[str, str], text: str, tmp_path: Path
) -> None:
    found: str | None = None
    said = ""
    try:
        found = render(translate(spoilt(where, text)), PEERED)
    except Unsupported as error:
        said = str(error)
    if found is None:
        assert where[1] in said
    else:
        assert "evil" not in found
        accepted(HAPROXIES[0], found, tmp_path)


def test_sections_bear_the_names_by_which_heartbeats_tell_them() -> None:
    found = pool(pool_id="p", members=[member(member_id="m")])
    front = [listener(listener_id="l", default_pool_id="p")]
    text = parse(render(translate(tree(front, [found])), PEERED))
    assert [section.name for section in text.frontends] == ["l"]
    assert [section.name for section in text.backends] == ["p:l"]
    assert [words[0] for words in text.backends[0].values("server")] == ["m"]


def test_a_server_has_the_same_number_whoever_else_is_there() -> None:
    def numbers(names: list[str]) -> dict[str, str]:
        found = pool(pool_id="p", members=[member(member_id=name) for name in names])
        text = parse(render(translate(tree([listener(default_pool_id="p")], [found])), PEERED))
        return {words[0]: words[3] for words in text.backends[0].values("server")}

    names = [f"member-{number}" for number in range(50)]
    both = numbers(names)
    assert len(set(both.values())) == 50
    assert numbers(names[::-2]) == {name: both[name] for name in names[::-2]}


def test_a_thousand_members_are_accepted(tmp_path: Path) -> None:
    members = [member(protocol_port=1 + number) for number in range(1000)]
    found = pool(members=members)
    text = render(translate(tree([listener(default_pool_id=found["pool_id"])], [found])), PEERED)
    assert text.count("\n    server ") == 1000
    accepted(HAPROXIES[0], text, tmp_path)
