"""The provider's inventory goes to this release and back to the one before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from libra_client.cli.exits import Exit
from libra_client.cli.main import main as libra
from libra_common.pidfile import PidFile
from libra_octavia.inventory import Addresses, Database, Port, Ports
from libra_octavia.inventory.migrate import form, forms
from tests.support.postgres import Postgres
from tests.support.previous import Previous

FORM = "0001"
"""That of the release before, as its source has it."""

_USE = """
import json, sys, uuid
from dataclasses import asdict
from libra_octavia.inventory import (Certificate, Counts, Database, Device, Devices, Intents, Kind,
    Leases, Operation, Totals, Wish, migrate)
database = Database(sys.argv[1])
migrate(database)
devices, intents, number = Devices(database), Intents(database), uuid.uuid4().hex
name = f"device-{number}"
devices.put(Device(name=name, load_balancer_id="lb", state="ready", amphora_id=number))
devices.issued(Certificate(serial=number, device=name, reference="x.pem", not_after=4e9))
intents.record(Wish(operation=Operation.UPDATE, kind=Kind.LISTENER, object_id=number,
    load_balancer_id="lb", changed={"name": "fr\\u00fch"}))
totals = Totals(database).add("lb", {"listener": Counts(bytes_in=3, total_connections=1)})
lease = Leases(database, seconds=60).claim("lb", early=True)
Leases(database, seconds=60).complete(lease, ())
print(json.dumps({
    "devices": sorted(one.name for one in devices.of("lb")),
    "certificates": sorted(one.serial for one in devices.expiring(1e12)),
    "intents": [[one.number, one.object_id, one.changed] for one in intents.of("lb")],
    "totals": asdict(totals["listener"]),
    "fence": lease.fence,
}))
"""
"""Adds to all that a release knows of a load balancer, and tells all of it."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty one of each kind."""
    if request.param == "sqlite":
        yield Database(f"sqlite:///{tmp_path / 'inventory.db'}")
        return
    with Postgres() as running:
        yield Database(running.database())


def use(database: Database, prefix: Sequence[str] = ()) -> dict[str, Any]:
    """Have a release add to the inventory; gives all that it knows then."""
    url = database.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [*prefix, sys.executable, "-c", _USE, url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def take_back(database: Database, folder: Path, wanted: str, *more: str) -> int:
    url = database.url.render_as_string(hide_password=False)
    config = folder / "libra.cfg"
    config.write_text(f"[octavia]\ninventory = {url}\npid = {folder / 'pid'}\n")
    return libra(["octavia", "downgrade", wanted, "--config-file", str(config), *more])


def test_what_is_known_is_known_to_the_next_release_and_to_the_one_before_again(
    database: Database, previous: Previous, tmp_path: Path
) -> None:
    # Given an inventory of the release before
    first = use(database, previous.prefix)
    assert form(database) == FORM
    # When this release uses it, with what only it knows / Then nothing is missing
    second = use(database)
    assert form(database) == forms()[-1]
    goes_on(first, second)
    Addresses(database).begin("lb")
    device = second["devices"][0]
    Ports(database).put(Port(device=device, subnet="s", addresses=("203.0.113.7",)))

    # When it is given back / Then the release before has all that it knows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", (tmp_path / "nothing").open("w+"))
        assert take_back(database, tmp_path, FORM) == Exit.USAGE
    assert form(database) == forms()[-1]
    assert take_back(database, tmp_path, FORM, "--yes") == Exit.OK
    third = use(database, previous.prefix)
    goes_on(second, third)
    assert form(database) == FORM

    # And this one once more
    goes_on(third, use(database))


def goes_on(before: dict[str, Any], after: dict[str, Any]) -> None:
    """`after` is `before` with one more of each."""
    assert after["fence"] == before["fence"] + 1
    assert after["totals"]["bytes_in"] == before["totals"]["bytes_in"] + 3
    assert after["intents"][:-1] == before["intents"]
    for name in ("devices", "certificates"):
        assert len(after[name]) == len(before[name]) + 1
        assert set(before[name]) < set(after[name])


def test_an_inventory_in_use_is_not_taken_back(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(database)
    with PidFile(path=tmp_path / "pid"):
        assert take_back(database, tmp_path, FORM, "--yes") == Exit.USAGE
    assert "stop it" in capsys.readouterr().err
    assert form(database) == forms()[-1]
