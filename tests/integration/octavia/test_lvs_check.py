"""keepalived takes every file that the provider writes, as a device has it checked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from libra_amphora.lvs_config import read
from libra_octavia.model import Algorithm
from libra_octavia.render_lvs import render_lvs
from libra_octavia.translate import servable
from tests.support import need
from tests.support.octavia_trees import listener, member, monitor, pool, tree
from tests.unit.octavia.test_lvs import datagram_trees

BOTH = {
    "vip_address": "203.0.113.2",
    "additional_vips": [{"ip_address": "2001:db8::7", "subnet_id": "s"}],
}
MEMBERS = [member(address="192.0.2.1"), member(address="2001:db8::1")]
FRONT = listener(protocol="UDP", protocol_port=53, default_pool_id="p", connection_limit=9)


def complaints(said: str, folder: Path) -> str:
    """What keepalived says of a file, empty where it takes it."""
    file = folder / "keepalived.conf"
    # Without programs, which its test would want to find.
    file.write_text(read(said.encode()).to_check())
    done = subprocess.run(
        [need.program("keepalived"), "-t", "-C", "-f", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.stdout}{done.stderr}{said}" if done.returncode else ""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=datagram_trees())
def test_whatever_is_asked_for_is_taken(found: Any, tmp_path: Path) -> None:
    (said,) = render_lvs(servable(found).balancer).values()
    assert not complaints(said, tmp_path)


@pytest.mark.parametrize("algorithm", [one.value for one in Algorithm])
@pytest.mark.parametrize("kind", ["UDP-CONNECT", "SCTP", "TCP", "HTTP"])
def test_every_algorithm_and_check_is_taken(algorithm: str, kind: str, tmp_path: Path) -> None:
    watch = monitor(
        type=kind,
        url_path="/" + "a" * 511,
        expected_codes=",".join(["200-204", "301", "404"]),
        http_version=1.1,
        domain_name="www.example.org:8080",
        max_retries_down=1,
    )
    stay = {"type": "SOURCE_IP", "persistence_granularity": "255.255.0.0"}
    behind = pool(
        pool_id="p",
        protocol="UDP",
        lb_algorithm=algorithm,
        members=MEMBERS,
        healthmonitor=watch,
        session_persistence=stay,
    )
    (said,) = render_lvs(servable(tree([FRONT], [behind], **BOTH)).balancer).values()
    assert len(read(said.encode()).services) == 2
    assert not complaints(said, tmp_path)


def test_a_pool_whose_members_all_have_no_weight_is_taken(tmp_path: Path) -> None:
    members = [member(address="192.0.2.1", weight=0), member(address="192.0.2.2", weight=0)]
    behind = pool(pool_id="p", protocol="UDP", members=members)
    (said,) = render_lvs(servable(tree([FRONT], [behind], **BOTH)).balancer).values()
    # What is run says it all the same
    assert said.count("weight 0\n") == 2
    assert not complaints(said, tmp_path)


def test_what_keepalived_does_not_take_would_be_seen(tmp_path: Path) -> None:
    watch = monitor(type="TCP", max_retries_down=2)
    behind = pool(pool_id="p", protocol="UDP", members=MEMBERS, healthmonitor=watch)
    (said,) = render_lvs(servable(tree([FRONT], [behind], **BOTH)).balancer).values()
    assert "retry value invalid" in complaints(said.replace("retry 1", "retry 0"), tmp_path)
