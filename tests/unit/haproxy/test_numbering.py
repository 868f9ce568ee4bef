from __future__ import annotations

from hypothesis import given

from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from libra_haproxy.numbering import assign
from tests.unit.haproxy.models import MODELS


def http(*servers: Server) -> Model:
    return Model(load_balancers=(LoadBalancer(protocol=Protocol.HTTP, port=80, servers=servers),))


def named(node_id: int | str | None, port: int = 80) -> Server:
    return Server(address="192.0.2.1", port=port, node_id=node_id)


@given(MODELS, MODELS)
def test_numbers_and_names_are_unique_and_numbers_never_reused(old: Model, new: Model) -> None:
    first, free = assign(old, previous=None, next_numbers={})
    second, free_after = assign(new, previous=first, next_numbers=free)
    before = {lb.protocol: {s.number for s in lb.servers} for lb in first.load_balancers}
    for lb in second.load_balancers:
        numbers = [server.number for server in lb.servers]
        names = [server.name for server in lb.servers]
        assert len(set(numbers)) == len(numbers)
        assert len(set(names)) == len(names)
        assert all(0 < number < free_after[lb.protocol] for number in numbers)
        fresh = set(numbers) - before.get(lb.protocol, set())
        assert all(number >= free.get(lb.protocol, 1) for number in fresh)


@given(MODELS)
def test_numbering_again_changes_nothing(model: Model) -> None:
    first, free = assign(model, previous=None, next_numbers={})
    assert assign(model, previous=first, next_numbers=free) == (first, free)


def test_a_node_keeps_its_number_when_its_place_or_its_ids_type_changes() -> None:
    first, free = assign(http(named(1), named(2, 81)), previous=None, next_numbers={})
    second, _ = assign(http(named("2", 99), named(1)), previous=first, next_numbers=free)
    assert [s.number for s in second.load_balancers[0].servers] == [2, 1]


def test_a_node_that_went_and_came_back_is_a_new_server() -> None:
    first, free = assign(http(named(1), named(2, 81)), previous=None, next_numbers={})
    second, free = assign(http(named(1)), previous=first, next_numbers=free)
    third, _ = assign(http(named(1), named(2, 81)), previous=second, next_numbers=free)
    assert [s.number for s in third.load_balancers[0].servers] == [1, 3]


def test_a_node_without_id_is_known_by_its_place() -> None:
    first, free = assign(http(named(None, 80), named(None, 81)), previous=None, next_numbers={})
    second, _ = assign(http(named(None, 81)), previous=first, next_numbers=free)
    [server] = second.load_balancers[0].servers
    assert (server.number, server.name) == (2, "id-2")


def test_a_made_up_id_gives_way_to_one_that_was_sent() -> None:
    model, _ = assign(http(named(None), named("1", 81)), previous=None, next_numbers={})
    assert [s.name for s in model.load_balancers[0].servers] == ["id-2", "id-1"]
