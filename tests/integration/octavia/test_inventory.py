"""The inventory keeps what was asked for, and gives each load balancer to one worker at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from libra_common.errors import SettingsError
from libra_octavia.errors import InventoryAway, LeaseLost
from libra_octavia.inventory import (
    Addresses,
    Certificate,
    Counts,
    Database,
    Device,
    Devices,
    Intents,
    Kind,
    Lease,
    Leases,
    Operation,
    Port,
    Ports,
    Totals,
    Wish,
    migrate,
)
from libra_octavia.inventory.migrate import form, forms, take_back
from libra_octavia.inventory.tables import metadata
from tests.support.wait import until

_LISTENER = Wish(
    operation=Operation.CREATE,
    kind=Kind.LISTENER,
    object_id="listener",
    load_balancer_id="lb",
    changed={"name": "früh", "protocol_port": 80, "connection_limit": None, "tags": ["a"]},
)


@contextmanager
def controller(database: Database, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the same inventory."""
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.support.inventory_process", url, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert form(database) == forms()[-1]


def test_an_inventory_without_tables_has_no_form(url: str) -> None:
    database = Database(url)
    if database.url.database and database.url.get_backend_name() == "sqlite":
        Path(database.url.database).touch()
    assert form(database) is None


def test_controllers_that_start_at_once_make_the_tables_once(url: str) -> None:
    database = Database(url)
    with ExitStack() as stack:
        all_of_them = [stack.enter_context(controller(database, "migrate")) for _ in range(3)]
        assert [process.wait(60) for process in all_of_them] == [0, 0, 0]
    assert form(database) == forms()[-1]


def test_migrating_again_keeps_what_is_there(database: Database) -> None:
    Intents(database).record(_LISTENER)
    migrate(database)
    assert len(Intents(database).of("lb")) == 1


def test_tables_of_a_newer_release_are_refused(database: Database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="another release"):
        migrate(database)


def test_tables_are_given_each_older_form_and_come_back_with_what_it_can_hold(
    database: Database,
) -> None:
    Devices(database).put(Device(name="amp", load_balancer_id="lb", state="ready"))
    for older in reversed(forms()):
        take_back(database, older)
        assert form(database) == older
        Intents(database).record(_LISTENER)
    migrate(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert len(Intents(database).of("lb")) == len(forms())
    assert [device.name for device in Devices(database).of("lb")] == ["amp"]


@pytest.mark.parametrize("wanted", ["0000", "9999", "base", "head", "-1", ""])
def test_tables_are_given_no_form_that_is_not_known(database: Database, wanted: str) -> None:
    with pytest.raises(SettingsError, match="this release knows"):
        take_back(database, wanted)
    assert form(database) == forms()[-1]


def test_what_was_asked_for_comes_back_in_its_order_after_a_restart(
    database: Database, url: str
) -> None:
    # Given three calls of the API
    later = Wish(
        operation=Operation.DELETE, kind=Kind.POOL, object_id="pool", load_balancer_id="lb"
    )
    other = Wish(
        operation=Operation.FAILOVER,
        kind=Kind.LOAD_BALANCER,
        object_id="lb2",
        load_balancer_id="lb2",
    )
    numbers = [Intents(database).record(wish) for wish in (_LISTENER, later, other)]
    database.close()
    # When a process that remembers nothing looks
    intents = Intents(Database(url))
    found = intents.of("lb")
    # Then they are all there, the oldest first
    assert [one.number for one in found] == numbers[:2]
    assert found[0].changed == _LISTENER.changed
    assert (found[0].operation, found[0].kind) == (Operation.CREATE, Kind.LISTENER)
    assert found[0].age >= 0
    assert list(intents.due(10)) == ["lb", "lb2"]


def test_numbers_are_never_given_out_twice(database: Database) -> None:
    intents, leases = Intents(database), Leases(database, seconds=60)
    first = intents.record(_LISTENER)
    lease = leases.claim("lb")
    assert lease is not None
    leases.complete(lease, [first])
    assert intents.record(_LISTENER) > first


def test_a_member_belongs_to_the_load_balancer_of_its_pool(database: Database) -> None:
    intents = Intents(database)
    intents.remember("lb", ["pool", "gone"])
    intents.remember("lb", ["pool", "listener"])
    for parent in ("pool", "gone"):
        intents.record(
            Wish(
                operation=Operation.CREATE,
                kind=Kind.MEMBER,
                object_id=f"member of {parent}",
                parent=(Kind.POOL, parent),
            )
        )
    assert [one.object_id for one in intents.of("lb")] == ["member of pool"]
    # And one whose pool is not known waits until somebody says whose it is.
    (homeless,) = intents.homeless()
    assert (homeless.object_id, homeless.parent) == ("member of gone", (Kind.POOL, "gone"))
    intents.settle(homeless.number, "lb3")
    assert intents.homeless() == ()
    assert list(intents.due(10)) == ["lb", "lb3"]


def test_an_object_moves_to_the_load_balancer_that_has_it_now(database: Database) -> None:
    intents = Intents(database)
    intents.remember("lb", ["pool"])
    intents.remember("lb2", ["pool"])
    wish = Wish(
        operation=Operation.BATCH, kind=Kind.POOL, object_id="pool", parent=(Kind.POOL, "pool")
    )
    intents.record(wish)
    assert intents.of("lb") == ()
    assert len(intents.of("lb2")) == 1


def test_a_load_balancer_that_is_held_is_not_due_and_cannot_be_claimed(database: Database) -> None:
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(_LISTENER)
    lease = leases.claim("lb")
    assert lease is not None
    assert leases.claim("lb") is None
    assert list(intents.due(10)) == []
    leases.renew(lease)
    leases.complete(lease, [number])
    assert list(intents.due(10)) == []
    assert leases.claim("lb") is not None


def test_nobody_can_claim_what_nobody_asked_for(database: Database) -> None:
    assert Leases(database, seconds=60).claim("unknown") is None


def test_a_failure_waits_and_a_new_wish_does_not(database: Database) -> None:
    # Given a load balancer that failed and is to be looked at again in an hour
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(_LISTENER)
    lease = leases.claim("lb")
    assert lease is not None
    leases.postpone(lease, 3600, seen=number, error="no device")
    assert list(intents.due(10)) == []
    assert leases.claim("lb") is None
    # When it is claimed all the same, the attempt was counted
    again = leases.claim("lb", early=True)
    assert again is not None
    assert again.attempts == 1
    # And when something new is asked for meanwhile
    newer = intents.record(_LISTENER)
    leases.postpone(again, 3600, seen=number, error="no device")
    assert newer > number
    # Then it is due at once
    assert list(intents.due(10)) == ["lb"]


def test_a_wish_that_comes_later_ends_the_waiting(database: Database) -> None:
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(_LISTENER)
    lease = leases.claim("lb")
    assert lease is not None
    leases.postpone(lease, 3600, seen=number, error="no device")
    intents.record(_LISTENER)
    assert list(intents.due(10)) == ["lb"]
    again = leases.claim("lb")
    assert again is not None
    assert again.attempts == 0


def test_what_is_forgotten_leaves_nothing(database: Database) -> None:
    intents, leases = Intents(database), Leases(database, seconds=60)
    intents.record(_LISTENER)
    intents.remember("lb", ["listener"])
    Totals(database).add("lb", {"listener": Counts(bytes_in=1)})
    lease = leases.claim("lb")
    assert lease is not None
    leases.forget(lease)
    with database.read() as connection:
        for name in ("load_balancers", "intents", "objects", "totals"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0  # noqa: S608


def test_claimers_in_many_processes_never_hold_it_together(
    database: Database, tmp_path: Path
) -> None:
    Intents(database).record(_LISTENER)
    words = ("turns", "15", str(tmp_path / "alone"))
    with ExitStack() as stack:
        everybody = [stack.enter_context(controller(database, *words)) for _ in range(3)]
        said = [process.communicate(timeout=100)[0] for process in everybody]
        assert [process.returncode for process in everybody] == [0] * 3
    fences = sorted(int(word) for text in said for word in text.split())
    assert fences == list(range(1, 46))


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_dead_or_paused_holder_held_is_taken_over_and_it_cannot_complete(
    database: Database, fault: signal.Signals
) -> None:
    # Given another controller that holds a load balancer for a second
    intents, leases = Intents(database), Leases(database, seconds=60)
    number = intents.record(_LISTENER)
    with controller(database, "hold", "1") as process:
        assert process.stdout is not None
        theirs = Lease(**json.loads(process.stdout.readline()))
        # When it dies or is paused
        process.send_signal(fault)
        # Then its lease is over soon, and ours has the next number
        taken: list[Lease] = []

        def claimed() -> bool:
            lease = leases.claim("lb")
            taken.extend([lease] if lease else [])
            return bool(taken)

        until(claimed, "the lease of the other is over")
        assert taken[0].fence == theirs.fence + 1
        # And nothing can be done any more with the old one
        with pytest.raises(LeaseLost):
            leases.renew(theirs)
        with pytest.raises(LeaseLost):
            leases.complete(theirs, [number])
        with pytest.raises(LeaseLost):
            leases.postpone(theirs, 1, seen=number, error="x", done=[number])
        with pytest.raises(LeaseLost):
            leases.forget(theirs)
        assert len(intents.of("lb")) == 1
        leases.complete(taken[0], [number])
        assert intents.of("lb") == ()


def test_what_a_dead_process_of_this_machine_held_can_be_had_at_once(database: Database) -> None:
    Intents(database).record(_LISTENER)
    leases = Leases(database, seconds=60)
    with controller(database, "hold", "600") as process:
        assert process.stdout is not None
        theirs = Lease(**json.loads(process.stdout.readline()))
        # While it lives, it keeps what it has.
        assert leases.release_dead() == 0
        assert leases.claim("lb") is None
    assert leases.release_dead() == 1
    ours = leases.claim("lb")
    assert ours is not None
    assert ours.fence == theirs.fence + 1


def test_totals_lose_nothing_when_many_add_at_once(database: Database) -> None:
    Totals(database).add("lb", {"listener": Counts(bytes_out=5, active_connections=9)})
    with ExitStack() as stack:
        everybody = [stack.enter_context(controller(database, "add", "25")) for _ in range(2)]
        assert [process.wait(60) for process in everybody] == [0] * 2
    after = Totals(database).add("lb", {"listener": Counts(active_connections=2)})
    assert after == {
        "listener": Counts(bytes_in=150, bytes_out=5, total_connections=50, active_connections=2)
    }


def test_devices_are_known_by_their_load_balancer_and_gone_when_removed(database: Database) -> None:
    devices = Devices(database)
    devices.put(Device(name="a", state="building", load_balancer_id="lb"))
    ready = Device(
        name="a", state="ready", load_balancer_id="lb", amphora_id="x", address="192.0.2.1"
    )
    devices.put(ready)
    devices.put(Device(name="spare", state="ready"))
    devices.issued(Certificate(serial="1", device="a", reference="/ca/1.pem", not_after=1e12))
    assert list(devices.of("lb")) == [ready]
    assert [one.name for one in devices.all()] == ["a", "spare"]
    devices.remove("a")
    devices.remove("a")
    assert [one.name for one in devices.all()] == ["spare"]
    assert list(devices.certificates("a")) == []


def test_a_device_gets_its_name_with_all_that_is_known_of_it(database: Database) -> None:
    devices, ports = Devices(database), Ports(database)
    begun = Device(name="id", state="building", load_balancer_id="lb", amphora_id="id")
    devices.put(begun)
    devices.issued(Certificate(serial="1", device="id", reference="-", not_after=1e12))
    ports.put(Port(device="id", subnet="s"))
    named = devices.named(begun, "pool-id")
    assert devices.named(named, "pool-id") == named
    assert list(devices.of("lb")) == [named]
    assert [one.serial for one in devices.certificates("pool-id")] == ["1"]
    assert [one.device for one in ports.of("pool-id")] == ["pool-id"]
    # Again, by one who did not see that it was done
    assert devices.named(begun, "pool-id") == named
    assert list(devices.all()) == [named]
    devices.remove("pool-id")
    assert (list(devices.all()), list(ports.of("pool-id"))) == ([], [])


def test_one_device_takes_over_from_the_others_of_its_load_balancer(database: Database) -> None:
    devices = Devices(database)
    for name, state, owner in (
        ("old", "ready", "lb"),
        ("new", "building", "lb"),
        ("other", "ready", "lb2"),
    ):
        devices.put(Device(name=name, state=state, load_balancer_id=owner))
    devices.take_over(Device(name="new", state="building", load_balancer_id="lb"))
    states = {one.name: one.state for one in devices.all()}
    assert states == {"old": "leaving", "new": "ready", "other": "ready"}
    assert list(devices.owners("leaving", "failed")) == ["lb"]


def test_an_address_without_a_load_balancer_is_an_orphan_when_it_is_old(database: Database) -> None:
    addresses, devices, intents = Addresses(database), Devices(database), Intents(database)
    for name in ("served", "wanted", "lost"):
        addresses.begin(name)
        addresses.begin(name)
    addresses.made("lost", "203.0.113.9")
    devices.put(Device(name="d", state="ready", load_balancer_id="served"))
    intents.record(replace(_LISTENER, load_balancer_id="wanted"))
    assert list(addresses.orphans(3600)) == []
    assert list(addresses.orphans(0)) == ["lost"]
    assert (addresses.of("lost"), addresses.of("served")) == ("203.0.113.9", None)
    addresses.led("lost", "d")
    assert addresses.leads_to("lost") == "d"
    addresses.remove("lost")
    assert not addresses.known("lost")


def test_only_devices_without_a_certificate_that_lasts_are_expiring(database: Database) -> None:
    devices = Devices(database)
    for name in ("renewed", "old"):
        devices.put(Device(name=name, state="ready"))
    for serial, device, until_when in (
        ("1", "renewed", 1.0),
        ("2", "renewed", 1e12),
        ("3", "old", 1.0),
    ):
        devices.issued(
            Certificate(serial=serial, device=device, reference="-", not_after=until_when)
        )
    assert [one.serial for one in devices.expiring(3600)] == ["3"]
    assert [one.serial for one in devices.certificates("renewed")] == ["2", "1"]


def test_an_inventory_that_is_away_is_named_without_its_password() -> None:
    away = Database("postgresql+psycopg://libra:hunter2@127.0.0.1:1/libra")
    with pytest.raises(InventoryAway) as caught:
        Intents(away).record(_LISTENER)
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_named_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    path.write_text("something else entirely\n" * 100)
    with pytest.raises(InventoryAway, match=r"inventory\.db"):
        Intents(Database(f"sqlite:///{path}")).record(_LISTENER)
    assert path.read_text().startswith("something else")


def test_only_a_migration_makes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    with pytest.raises(InventoryAway):
        Intents(Database(f"sqlite:///{path}")).record(_LISTENER)
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "why"), [("nonsense", "no URL"), ("mysql://localhost/libra", "mysql")]
)
def test_other_databases_are_refused_by_name(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        Database(url)
