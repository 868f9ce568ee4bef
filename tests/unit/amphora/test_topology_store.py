"""What is stored of a topology comes back as it was."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libra_amphora.topology_store import Intent, TopologyStore, Wish
from libra_haproxy.errors import StateUnreadable

WISHES = st.builds(
    Wish,
    topology=st.sampled_from(["SINGLE", "ACTIVE-STANDBY", "ACTIVE-ACTIVE"]),
    role=st.sampled_from([None, "ACTIVE", "STANDBY"]),
    ha_ip=st.none() | st.ip_addresses(),
)
INTENTS = st.none() | st.builds(Intent, wish=WISHES, mark=st.text("0123456789abcdef", max_size=16))


@given(wish=WISHES, intent=INTENTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_is_stored_comes_back(tmp_path: Path, wish: Wish, intent: Intent | None) -> None:
    store = TopologyStore(tmp_path / "topology.json")
    store.save(wish, intent)
    assert store.load() == (wish, intent)


def test_file_of_the_release_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "topology.json"
    path.write_text(
        '{"schema": 1, "topology": "ACTIVE-STANDBY", "role": "ACTIVE", "ha_ip": "203.0.113.2"}'
    )
    address = ipaddress.ip_address("203.0.113.2")
    wish = Wish(topology="ACTIVE-STANDBY", role="ACTIVE", ha_ip=address)
    assert TopologyStore(path).load() == (wish, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "next": 3}'])
def test_damaged_file_is_told_of(tmp_path: Path, text: str) -> None:
    path = tmp_path / "topology.json"
    path.write_text(text)
    with pytest.raises(StateUnreadable):
        TopologyStore(path).load()


def test_nothing_is_stored_at_first(tmp_path: Path) -> None:
    assert TopologyStore(tmp_path / "topology.json").load() is None
