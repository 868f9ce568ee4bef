"""Whatever fails, and in whatever order: each operation ends, and no word is said too soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libra_octavia.agent.devices import DeviceRefused, ListenersRefused
from libra_octavia.agent.octavia import Octavia, OctaviaAway, library
from libra_octavia.agent.reconcile import Patience, Reconciler
from libra_octavia.inventory import Database, Intents, Kind, Leases, Operation, Wish, migrate
from libra_octavia.inventory.sync import sync_one
from libra_octavia.translate import translate
from tests.support.octavia_agent import StandIn
from tests.support.octavia_sim import OctaviaSim
from tests.support.octavia_trees import listener

DELETES = (Operation.DELETE, Operation.CASCADE)
"""Where one of these was rolled back it is done all the same, see below."""

LONG = Patience(commit=1e6, deadline=1e6)
OVER = Patience(commit=-1.0, deadline=1e6)
GIVEN_UP = Patience(commit=1e6, deadline=-1.0)


class Bench:
    """One load balancer, its Octavia, devices and inventory."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'inventory.db'}")
        migrate(self.database)
        self.intents = Intents(self.database)
        self.devices = StandIn()
        self.octavia = OctaviaSim(self.intents, self._check)
        self.intents.remember("lb", ["lb", "l", "p", "m0", "m1"])
        self.reports: list[dict[str, str]] = []
        self.strict = True

    def serve(self, patience: Patience = LONG) -> None:
        """One look at the load balancer, however long it was to wait."""
        with self.database.write() as connection:
            connection.exec_driver_sql("UPDATE load_balancers SET not_before = 0")
        reconciler = self.reconciler(patience)
        for intent in self.intents.homeless():
            reconciler.settle(intent)
        reconciler.serve("lb")

    def reconciler(self, patience: Patience = LONG) -> Reconciler:
        return Reconciler(
            intents=self.intents,
            leases=Leases(self.database, seconds=60),
            octavia=Octavia(lambda: self.octavia),
            devices=self.devices,
            patience=patience,
        )

    def close(self) -> None:
        self.database.close()

    def empty(self) -> None:
        """Back to the start, without making the tables anew."""
        with self.database.write() as connection:
            for table in ("intents", "load_balancers", "objects"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608
        self.devices = StandIn()
        self.octavia = OctaviaSim(self.intents, self._check)
        self.intents.remember("lb", ["lb", "l", "p", "m0", "m1"])
        self.reports = []

    def _check(self, octavia: OctaviaSim, said: dict[str, str]) -> None:
        """What is reported must be true at this moment."""
        self.reports.append(said)
        assert set(said) <= octavia.ids()
        if not self.strict:
            return
        leaving = {name for name, word in said.items() if word == "DELETED"}
        # Only what the customer wants gone goes, and all that he waits for gets a word.
        asked = {name for name, word in octavia.status.items() if word == "PENDING_DELETE"}
        assert leaving == asked
        pending = {name for name, word in octavia.status.items() if word.startswith("PENDING")}
        assert pending <= set(said)
        if "lb" in leaving:
            assert "lb" not in self.devices.wanted
        elif "ACTIVE" in said.values() and "ERROR" not in said.values():
            assert self.devices.wanted["lb"].balancer == translate(octavia.model(), without=leaving)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


calls = st.sampled_from(
    ["create", "update", "delete", "batch", "monitor", "failover", "rename", "cascade"]
)
steps = st.lists(
    st.one_of(
        calls,
        calls,
        st.sampled_from(["commit", "commit", "roll back", "serve", "serve", "serve"]),
        st.sampled_from(["octavia away", "device away", "answers lost", "all well"]),
    ),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(history=steps)
def test_every_operation_ends_and_nothing_is_reported_that_is_not_so(
    bench: Bench, history: list[str]
) -> None:
    bench.empty()
    octavia, devices = bench.octavia, bench.devices
    for number, step in enumerate(history):
        match step:
            case "commit":
                octavia.commit()
            case "roll back" if octavia.opened and octavia.opened.operation not in DELETES:
                octavia.roll_back()
            case "serve":
                bench.serve()
            case "octavia away":
                octavia.away = True
            case "device away":
                devices.before = devices.away
            case "answers lost":
                octavia.loses_answers = True
            case "all well":
                octavia.away = octavia.loses_answers = False
                devices.before = lambda _: None
            case call if octavia.free:
                octavia.call(call, number)
    # When all is well again and Octavia has had its time
    octavia.away = octavia.loses_answers = False
    devices.before = lambda _: None
    octavia.commit()
    for _ in range(3):
        bench.serve(OVER)
    # Then nothing waits, for anybody
    assert set(octavia.status.values()) <= {"ACTIVE"}
    assert bench.intents.of("lb") == bench.intents.homeless() == ()
    if octavia.shape is None:
        assert "lb" not in devices.wanted
    elif bench.reports:
        assert devices.wanted["lb"].balancer == translate(octavia.model())


def test_a_delete_that_was_rolled_back_is_not_known_from_one_that_was_not(bench: Bench) -> None:
    # Trees carry no status: this is the one thing that cannot be told. What is deleted is gone.
    bench.strict = False
    bench.octavia.call("delete", 0)
    bench.octavia.roll_back()
    bench.serve()
    assert "m0" not in bench.octavia.ids()


def test_nothing_happens_before_the_commit(bench: Bench) -> None:
    bench.octavia.call("create", 7)
    bench.serve()
    bench.serve()
    assert (bench.reports, bench.devices.calls) == ([], 0)
    bench.octavia.commit()
    bench.serve()
    assert bench.octavia.status["n7"] == "ACTIVE"


def test_many_intents_cost_one_change_of_the_device(bench: Bench) -> None:
    for number in range(4):
        bench.octavia.call("create", number)
        bench.octavia.commit()
    bench.serve()
    assert bench.devices.calls == 1
    assert set(bench.octavia.status.values()) == {"ACTIVE"}


@pytest.mark.parametrize("call", ["create", "update", "delete", "batch", "monitor", "rename"])
def test_what_a_device_refuses_is_error_and_all_else_serves_on(bench: Bench, call: str) -> None:
    def refuse(_: str) -> None:
        raise DeviceRefused("no")

    bench.devices.before = refuse
    bench.octavia.call(call, 0)
    bench.octavia.commit()
    asked = {
        name
        for name, word in bench.octavia.status.items()
        if word.startswith("PENDING") and name not in ("lb", "l", "p")
    } or {"lb"}
    bench.strict = False
    bench.serve()
    assert {n for n, word in bench.octavia.status.items() if word == "ERROR"} == asked
    assert not any(word.startswith("PENDING") for word in bench.octavia.status.values())


def test_a_device_that_stays_away_is_given_up_at_the_deadline(bench: Bench) -> None:
    bench.devices.before = bench.devices.away
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    bench.serve()
    assert bench.octavia.status["n7"] == "PENDING_CREATE"
    bench.serve(GIVEN_UP)
    assert bench.octavia.status["n7"] == "ERROR"
    assert bench.octavia.status["lb"] == "ACTIVE"
    with bench.database.read() as connection:
        said = connection.exec_driver_sql("SELECT last_error FROM load_balancers").scalar()
    assert "no device answers" in str(said)


def test_what_cannot_be_served_is_error_and_all_else_is_served(bench: Bench) -> None:
    # Given a listener that came in by a way on which the driver does not see it
    bench.strict = False
    assert bench.octavia.shape is not None
    bad = listener(
        listener_id="bad",
        loadbalancer_id="lb",
        protocol="UDP",
        protocol_port=53,
        allowed_cidrs=["192.0.2.0/24"],
    )
    bench.octavia.shape["listeners"].append(bad)
    bench.octavia.status["bad"] = "PENDING_CREATE"
    # When something is changed
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    bench.serve()
    # Then that is served, and the other is in error
    assert bench.octavia.status.pop("bad") == "ERROR"
    assert set(bench.octavia.status.values()) == {"ACTIVE"}
    served = bench.devices.wanted["lb"].balancer
    assert [one.id for one in served.listeners] == ["l"]
    assert "n7" in [one.id for one in served.pools[0].members]


def test_a_listener_that_the_device_refuses_is_error_with_its_reason_and_all_else_is_served(
    bench: Bench,
) -> None:
    # Given a device that serves all but one listener
    def refuse(_: str) -> None:
        raise ListenersRefused({"l": "the kernel has no IP_VS"})

    bench.strict = False
    bench.devices.before = refuse
    # When something else is changed
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    bench.serve()
    # Then only the listener is in error, and the reason is kept
    assert bench.octavia.status.pop("l") == "ERROR"
    assert set(bench.octavia.status.values()) == {"ACTIVE"}
    with bench.database.read() as connection:
        said = connection.exec_driver_sql("SELECT last_error FROM load_balancers").scalar()
    assert said == "listener l: protocol: the kernel has no IP_VS"
    # When the device can serve it after all
    bench.devices.before = lambda _: None
    bench.octavia.call("create", 8)
    bench.octavia.commit()
    bench.serve()
    assert set(bench.octavia.status.values()) == {"ACTIVE"}


def test_even_what_nobody_thought_of_ends_at_the_deadline(bench: Bench) -> None:
    def break_down(_: str) -> None:
        raise ZeroDivisionError

    bench.devices.before = break_down
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    bench.serve()
    assert bench.octavia.status["n7"] == "PENDING_CREATE"
    bench.serve(GIVEN_UP)
    assert bench.octavia.status["n7"] == "ERROR"


def test_whoever_lost_its_lease_reports_nothing(bench: Bench) -> None:
    # Given a worker that sleeps while it changes the device, for longer than its lease
    other = Leases(bench.database, seconds=60)

    def taken_meanwhile(_: str) -> None:
        with bench.database.write() as connection:
            connection.exec_driver_sql("UPDATE load_balancers SET expires = 0")
        assert other.claim("lb", early=True) is not None

    bench.devices.before = taken_meanwhile
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    # When it goes on
    bench.serve()
    # Then it says nothing, and what was asked for is still there for the other
    assert bench.reports == []
    assert len(bench.intents.of("lb")) == 1


def test_what_is_asked_for_while_another_is_served_is_not_lost(bench: Bench) -> None:
    def ask(_: str) -> None:
        bench.devices.before = lambda _: None
        bench.intents.record(
            Wish(
                operation=Operation.FAILOVER,
                kind=Kind.LOAD_BALANCER,
                object_id="lb",
                load_balancer_id="lb",
            )
        )

    bench.devices.before = ask
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    bench.serve()
    assert [one.operation for one in bench.intents.of("lb")] == [Operation.FAILOVER]
    assert list(bench.intents.due(10)) == ["lb"]
    bench.serve(OVER)
    assert bench.devices.replaced == ["lb"]


def test_a_resync_says_nothing_of_what_is_being_deleted_meanwhile(bench: Bench) -> None:
    # Given a resync, during which somebody deletes the load balancer
    def deleted(_: str) -> None:
        bench.devices.before = lambda _: None
        bench.octavia.call("cascade", 7)
        bench.octavia.commit()

    bench.devices.before = deleted
    sync_one(bench.database, "lb")
    # When it has served what there was before
    bench.serve()
    # Then it does not call that ACTIVE which is PENDING_DELETE, and the delete is done next
    assert bench.reports == []
    assert bench.octavia.status["lb"] == "PENDING_DELETE"
    bench.serve()
    assert bench.reports[-1]["lb"] == "DELETED"


def test_an_object_whose_pool_is_not_known_yet_finds_its_load_balancer(bench: Bench) -> None:
    bench.intents.remember("lb", [])
    bench.octavia.call("create", 7)
    bench.octavia.commit()
    assert len(bench.intents.homeless()) == 1
    bench.serve()
    assert bench.octavia.status["n7"] == "ACTIVE"
    # From now on it is known.
    bench.octavia.call("update", 0)
    assert bench.intents.homeless() == ()


def test_an_object_in_no_load_balancer_is_forgotten_in_time(bench: Bench) -> None:
    wish = Wish(
        operation=Operation.CREATE,
        kind=Kind.MEMBER,
        object_id="m",
        parent=(Kind.POOL, "rolled back"),
    )
    bench.intents.record(wish)
    bench.serve(LONG)
    assert len(bench.intents.homeless()) == 1
    bench.serve(OVER)
    assert bench.intents.homeless() == ()


def test_a_driver_agent_without_sockets_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(OctaviaAway, match=r"status\.sock"):
        Octavia(lambda: library(tmp_path)).tree("lb")
