"""A change is in HAProxy and on disk, or in neither, whichever of the two fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from libra_haproxy.afterwards import Afterwards
from libra_haproxy.errors import DiskError, EngineError, HaproxyTimeout, NotInForce
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server, State, Status
from libra_haproxy.plan import AtRunTime, ByReload, Plan
from libra_haproxy.render import Rendered
from libra_haproxy.store import Store
from libra_haproxy.truth import Truth


def state(port: int) -> State:
    server = Server(address="192.0.2.1", port=port, node_id=1, number=1)
    lb = LoadBalancer(protocol=Protocol.HTTP, port=80, servers=(server,))
    return State(status=Status.ACTIVE, model=Model(load_balancers=(lb,)))


class FakeService:
    """A HAProxy that takes what it is given, at run time or by reload, and remembers how."""

    def __init__(self) -> None:
        self.serving: State | None = None
        self.hangs = False
        self.refuses: EngineError | None = None
        self.done: list[str] = []

    def render(self, state: State) -> Rendered:
        return Rendered(f"a file of {state.model}", "0" * 16, 100)

    def running_soon(self) -> Callable[[], str | None]:
        def answered() -> str | None:
            if self.hangs:
                raise HaproxyTimeout("it hangs")
            return "0" * 16

        return answered

    def running(self) -> str | None:
        return self.running_soon()()

    def serves(self, state: State, *_: object, **__: object) -> bool:
        return self.serving is not None and self.serving.model == state.model

    def way(self, now: State, *_: object, **__: object) -> Plan:
        return ByReload("the first") if now.model is None else AtRunTime(())

    def refuse_unusable_ports(self, wanted: State, *, now: State) -> None: ...

    def check(self, config: Path) -> None: ...

    def look(self) -> int:
        return 0

    def stop(self) -> None:
        self.serving = None

    def bring_into_force(
        self, state: State, _: Rendered, way: Plan, *, store: Callable[[], None]
    ) -> None:
        self.done.append("reload" if isinstance(way, ByReload) else "run time")
        if isinstance(way, AtRunTime):
            self.serving = state
        store()
        refuses, self.refuses = self.refuses, None
        if refuses:
            raise refuses
        self.serving = state


class FailingStore(Store):
    """Fails to make a state the truth, where it is told to."""

    fails = False

    def commit(self) -> None:
        if self.fails:
            self.fails = False
            raise DiskError("the disk gives up")
        super().commit()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def store(tmp_path: Path) -> FailingStore:
    return FailingStore(directory=tmp_path)


@pytest.fixture
def afterwards() -> Afterwards:
    return Afterwards()


@pytest.fixture
def truth(service: FakeService, store: FailingStore, afterwards: Afterwards) -> Truth:
    """One that serves a state already."""
    made = Truth(store=store, service=service, afterwards=afterwards)  # type: ignore[arg-type]
    made.change(state(1))
    afterwards.finish()
    service.done.clear()
    return made


def served(truth: Truth, service: FakeService, store: Store) -> list[int]:
    """The port of the server: in memory, in HAProxy, and after a restart."""
    found = [truth.state, service.serving, store.load()]
    return [one.model.load_balancers[0].servers[0].port for one in found if one and one.model]


def test_a_change_is_in_haproxy_and_on_disk(
    truth: Truth, service: FakeService, store: FailingStore, afterwards: Afterwards
) -> None:
    truth.change(state(2))
    assert served(truth, service, store) == [2, 2, 2]
    assert service.done == ["run time"]
    # That it was proved is put down when nobody waits any more
    assert store.pending()
    afterwards.finish()
    assert not store.pending()


def test_a_disk_that_fails_while_haproxy_changes_takes_the_change_back(
    truth: Truth, service: FakeService, store: FailingStore
) -> None:
    store.fails = True
    with pytest.raises(DiskError, match="the disk gives up"):
        truth.change(state(2))
    assert served(truth, service, store) == [1, 1, 1]
    assert service.done == ["run time", "reload"]
    assert "port=1," in (store.text() or "")


def test_a_disk_that_fails_at_the_first_change_leaves_nothing(
    service: FakeService, store: FailingStore, tmp_path: Path
) -> None:
    truth = Truth(store=store, service=service, afterwards=Afterwards())  # type: ignore[arg-type]
    store.fails = True
    with pytest.raises(DiskError):
        truth.change(state(1))
    assert (truth.state.model, service.serving, list(tmp_path.iterdir())) == (None, None, [])


def test_a_haproxy_that_refuses_takes_the_change_back(
    truth: Truth, service: FakeService, store: FailingStore
) -> None:
    service.refuses = NotInForce("it does not serve what was asked")
    with pytest.raises(NotInForce):
        truth.change(state(2))
    assert served(truth, service, store) == [1, 1, 1]


def test_a_haproxy_that_hangs_is_left_as_it_is_and_so_is_the_disk(
    truth: Truth, service: FakeService, store: FailingStore, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    service.hangs = True
    with pytest.raises(HaproxyTimeout):
        truth.change(state(2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert served(truth, service, store) == [1, 1, 1]
    assert service.done == []
