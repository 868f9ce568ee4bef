"""libra pool, against a real pool manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.integration.client.conftest import Libra, Ran
from tests.support import folders
from tests.support.gearmand import Gearmand
from tests.support.pool_manager import BASENAME, PoolManager

MEMBERS = ("name", "addr", "type", "az")


@pytest.fixture(scope="module")
def pool(gearmand: Gearmand) -> Iterator[PoolManager]:
    with PoolManager(folder=folders.folder(), servers=[gearmand.address]) as manager:
        yield manager.start()


@pytest.fixture
def named(libra: Libra, pool: PoolManager) -> Libra:
    """The command, with a settings file that names the pool."""

    return partial(libra, config=pool.config)


def rows(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ran.out)
    return found


def test_devices_are_built_at_once_listed_and_deleted(named: Libra) -> None:
    # When two devices are asked for
    built = named("pool", "build", "-n", "2", "--json")
    # Then both are there, and only they are on standard output
    assert (built.code, built.err) == (0, "")
    names = sorted(answer["name"] for answer in rows(built))
    assert len(set(names)) == 2
    assert all(name.startswith(f"{BASENAME}-") for name in names)
    # And the list, which comes from the gearman servers, has both
    listed = rows(named("pool", "list", "--json"))
    assert [row["name"] for row in listed] == names
    assert named("pool", "list", "--basename", "libra").out.count("\n") == 3
    assert rows(named("pool", "list", "--basename", "other", "--json")) == []
    # When one is deleted without being asked / Then it goes, and again is no fault
    for _ in range(2):
        deleted = named("pool", "delete", names[0], "--yes")
        assert (deleted.code, deleted.out) == (0, "DELETE_DEVICE: PASS\n")
    assert named("pool", "delete", names[1], "--yes", "--json").json["response"] == "PASS"


def test_one_device_is_shown_as_a_table_or_as_its_answer(named: Libra) -> None:
    shown = named("pool", "build")
    head, row = shown.out.splitlines()
    assert head.split() == ["name", "addr", "az"]
    assert named("pool", "delete", row.split()[0], "--yes").code == 0
    answer = named("pool", "build", "--json").json
    assert set(MEMBERS) <= answer.keys()
    assert named("pool", "delete", answer["name"], "--yes").code == 0


def test_a_floating_ip_goes_through_its_life(named: Libra) -> None:
    name = named("pool", "build", "--json").json["name"]
    ip = named("pool", "ip", "create", "--json").json["ip"]
    for words, said in (
        (("assign", ip, name), "ASSIGN_IP: PASS"),
        (("remove", ip, name), "REMOVE_IP: PASS"),
        (("delete", ip, "--yes"), "DELETE_IP: PASS"),
    ):
        ran = named("pool", "ip", *words)
        assert (ran.code, ran.out, ran.err) == (0, f"{said} {ip}\n", "")
    assert named("pool", "delete", name, "--yes").code == 0


def test_a_port_goes_through_its_life_and_the_clouds_own_list_has_it(named: Libra) -> None:
    name = named("pool", "build", "--json").json["name"]
    attach = ("pool", "port", "attach", name, "my-vip")
    shown = named(*attach, "--address", "192.0.2.7", "--address", "2001:db8::7")
    assert (shown.code, shown.err) == (0, "")
    fields = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert fields["addresses"] == "192.0.2.7, 2001:db8::7"
    assert fields["cidr"] == "198.51.100.0/24"
    # The same key is the same port
    again = named(*attach, "--json").json
    assert (again["port"], again["mac"]) == (fields["port"], fields["mac"])
    # And the list of the cloud has device and port, for people and for programs
    line = next(
        line for line in named("pool", "list", "--cloud").out.splitlines() if line.startswith(name)
    )
    assert line.split() == [name, "198.51.100.7", "active", "yes", fields["ip"]]
    listed = rows(named("pool", "list", "--cloud", "--json"))
    (device,) = [one for one in listed if one["name"] == name]
    assert [one["key"] for one in device["ports"]] == ["my-vip"]
    # It is not taken away unasked for
    assert named("pool", "port", "detach", name, fields["port"]).code == 2
    detached = named("pool", "port", "detach", name, fields["port"], "--yes")
    assert (detached.code, detached.out) == (0, "DETACH_PORT: PASS\n")
    refused = named("pool", "port", "attach", "no-such-device", "k")
    assert (refused.code, "FAIL (not_found)" in refused.err) == (1, True)
    assert named("pool", "delete", name, "--yes").code == 0


def test_a_failure_is_told_in_words_with_its_code(named: Libra) -> None:
    refused = named("pool", "build", "--flavor", "unknown")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("libra: libra_pool_mgm: FAIL (")
    of_two = named("pool", "build", "-n", "2", "--flavor", "unknown", "--json")
    assert (of_two.code, [answer["response"] for answer in rows(of_two)]) == (1, ["FAIL", "FAIL"])
    nowhere = named("pool", "ip", "assign", "203.0.113.250", "no-such-device")
    assert nowhere.code == 1
    assert "FAIL (not_found)" in nowhere.err


def test_nothing_is_deleted_unasked_for(named: Libra) -> None:
    for words in (("delete", "a-device"), ("ip", "delete", "203.0.113.1")):
        ran = named("pool", *words)
        assert ran.code == 2
        assert "confirm it with --yes; nothing was sent" in ran.err


def test_without_a_pool_manager_it_says_so(libra: Libra) -> None:
    ran = libra("pool", "ip", "create", "--server", "127.0.0.1:1", "--timeout", "2")
    assert ran.code == 3
