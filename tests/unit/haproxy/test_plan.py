from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy import commands
from libra_haproxy.model import (
    LoadBalancer,
    Model,
    Protocol,
    Server,
    State,
    Status,
    Tls,
    TlsVersion,
)
from libra_haproxy.numbering import assign
from libra_haproxy.plan import (
    AddServer,
    AtRunTime,
    ByReload,
    CloseFrontend,
    OpenFrontend,
    Operation,
    RemoveServer,
    SetAddress,
    SetCertificate,
    SetInUse,
    SetWeight,
    plan,
)
from tests.unit.haproxy.models import CERTIFICATES, MODELS, SERVERS

Served = dict[str, dict[str, Server]]
Ended = dict[str, Tls | None]


def active(model: Model) -> State:
    return State(status=Status.ACTIVE, model=model)


def served(model: Model | None) -> Served:
    """What a fresh start from a model serves: servers by backend and name."""
    assert model is not None
    return {
        lb.backend: {server.name: as_served(server) for server in lb.servers}
        for lb in model.load_balancers
    }


def as_served(server: Server) -> Server:
    """HAProxy knows a server's name; whether its id was sent as a number or as text is ours."""
    return replace(server, node_id=str(server.node_id))


def ended(model: Model | None) -> Ended:
    """How a fresh start from a model ends TLS, by frontend."""
    assert model is not None
    return {lb.frontend: lb.tls for lb in model.load_balancers}


def exchanged(before: Ended, operations: tuple[Operation, ...]) -> Ended:
    """How a process ends TLS after the operations."""
    now = dict(before)
    for operation in operations:
        if isinstance(operation, SetCertificate):
            tls = now[operation.frontend]
            assert tls is not None
            assert tls.certificate == operation.old
            # HAProxy finds what is to be replaced by its fingerprint, and shows what came so.
            assert operation.old.leaf != operation.new.leaf
            now[operation.frontend] = replace(tls, certificate=operation.new)
    return now


def carried_out(before: Served, operations: tuple[Operation, ...]) -> Served:
    """What a process serves after the operations, by the meaning of each."""
    now = {backend: dict(servers) for backend, servers in before.items()}
    for operation in operations:
        match operation:
            case AddServer(lb, server):
                assert server.name not in now[lb.backend]
                now[lb.backend][server.name] = as_served(server)
            case RemoveServer(backend, name):
                del now[backend][name]
            case SetWeight(backend, name, weight):
                now[backend][name] = replace(now[backend][name], weight=weight)
            case SetAddress(backend, name, address, port):
                now[backend][name] = replace(now[backend][name], address=address, port=port)
            case SetInUse(backend, name, in_use):
                now[backend][name] = replace(now[backend][name], enabled=in_use)
            case SetCertificate():
                pass
            case _:
                raise AssertionError(operation)
    return now


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[State, State]:
    """A state, and another with the same load balancers and other servers."""
    old, free = assign(draw(MODELS), previous=None, next_numbers={})
    lbs = []
    for lb in old.load_balancers:
        kept = [
            replace(server, number=0, weight=draw(st.integers(0, 256)), enabled=draw(st.booleans()))
            for server in lb.servers
            if draw(st.booleans())
        ]
        taken = {str(server.node_id) for server in kept}
        fresh = [s for s in draw(st.lists(SERVERS, max_size=4)) if str(s.node_id) not in taken]
        unique = {str(s.node_id): s for s in fresh if s.node_id is not None}
        servers = (*kept, *unique.values()) or lb.servers
        tls = lb.tls and replace(lb.tls, certificate=draw(st.sampled_from(CERTIFICATES)))
        lbs.append(replace(lb, servers=servers, tls=tls))
    new, _ = assign(Model(load_balancers=tuple(lbs)), previous=old, next_numbers=free)
    return active(old), active(new)


@given(neighbours())
def test_a_plan_carried_out_on_the_old_gives_the_new(states: tuple[State, State]) -> None:
    old, new = states
    found = plan(old, new)
    if isinstance(found, AtRunTime):
        assert carried_out(served(old.model), found.operations) == served(new.model)
        assert exchanged(ended(old.model), found.operations) == ended(new.model)
    else:
        # Then something changed that a process cannot change
        assert found.reason


@given(MODELS, MODELS)
def test_any_two_states_have_a_plan_that_is_right(a: Model, b: Model) -> None:
    first, free = assign(a, previous=None, next_numbers={})
    second, _ = assign(b, previous=first, next_numbers=free)
    found = plan(active(first), active(second))
    if isinstance(found, AtRunTime):
        assert carried_out(served(first), found.operations) == served(second)
        assert exchanged(ended(first), found.operations) == ended(second)


@given(MODELS)
def test_from_a_state_to_itself_there_is_nothing_to_do(model: Model) -> None:
    state = active(assign(model, previous=None, next_numbers={})[0])
    assert plan(state, state) == AtRunTime(())


def one(*servers: Server, **fields: Any) -> State:
    lb = LoadBalancer(protocol=Protocol.HTTP, port=80, servers=servers)
    return active(Model(load_balancers=(replace(lb, **fields),)))


A = Server(address="192.0.2.1", port=80, node_id=1, number=1)
B = Server(address="192.0.2.2", port=80, node_id=2, number=2)


def test_an_id_that_is_sent_as_text_instead_of_a_number_is_no_change_to_haproxy() -> None:
    assert plan(one(A), one(replace(A, node_id="1"))) == AtRunTime(())


def test_what_comes_comes_before_what_goes() -> None:
    found = plan(one(A), one(B))
    assert isinstance(found, AtRunTime)
    assert [type(operation) for operation in found.operations] == [AddServer, RemoveServer]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"port": 81}, "port"),
        ({"retries": 1}, "retries"),
        ({"sticky": False}, "sticky"),
        ({"servers": (replace(A, backup=True),)}, "backup"),
        ({"servers": (replace(A, number=9),)}, "number"),
    ],
)
def test_what_a_process_cannot_change_is_a_reload_by_name(
    fields: dict[str, Any], word: str
) -> None:
    found = plan(one(A), one(A, **fields) if "servers" not in fields else one(*fields["servers"]))
    assert isinstance(found, ByReload)
    assert word in found.reason


def test_another_certificate_is_exchanged_and_other_rules_of_tls_are_a_reload() -> None:
    first, second, _ = CERTIFICATES
    tls = Tls(certificate=first)
    assert plan(one(A, tls=tls), one(A, tls=Tls(certificate=second))) == AtRunTime(
        (SetCertificate("http-in", first, second),)
    )
    same_leaf = replace(second, leaf=first.leaf)
    for other in (None, replace(tls, oldest=TlsVersion.TLS_1_3), Tls(certificate=same_leaf)):
        found = plan(one(A, tls=tls), one(A, tls=other))
        assert isinstance(found, ByReload)
        assert "tls" in found.reason


def test_a_label_is_no_reason_for_anything() -> None:
    assert plan(one(A), one(A, label="other")) == AtRunTime(())


def test_many_changes_at_once_are_a_reload() -> None:
    many = [replace(A, node_id=n, number=n) for n in range(1, 400)]
    assert isinstance(plan(one(A), one(*many)), ByReload)


def test_one_of_very_many_moves_by_a_reload_and_changes_its_weight_without() -> None:
    many = [replace(A, node_id=n, number=n) for n in range(1, 1002)]
    moved = plan(one(*many), one(*many[:-1], replace(many[-1], port=81)))
    assert isinstance(moved, ByReload)
    assert isinstance(plan(one(*many), one(*many[:-1])), ByReload)
    heavier = plan(one(*many), one(*many[:-1], replace(many[-1], weight=2)))
    assert isinstance(heavier, AtRunTime)


def test_suspend_and_enable_close_and_open() -> None:
    suspended = replace(one(A), status=Status.SUSPENDED)
    assert plan(one(A), suspended) == AtRunTime((CloseFrontend("http-in"),))
    assert plan(suspended, one(A)) == AtRunTime((OpenFrontend("http-in"),))
    assert isinstance(plan(suspended, one(B)), ByReload)
    assert isinstance(plan(suspended, replace(one(B), status=Status.SUSPENDED)), ByReload)


@given(neighbours())
def test_every_command_is_one_plain_line_of_bounded_length(states: tuple[State, State]) -> None:
    found = plan(*states)
    if not isinstance(found, AtRunTime):
        return
    for line in commands.lines(commands.commands(found.operations)):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 16_000


def test_long_lists_of_commands_are_cut_into_lines() -> None:
    many = [replace(A, node_id=n, number=n) for n in range(1, 2000)]
    given_ = list(commands.commands(AddServer(LoadBalancer(
        protocol=Protocol.TCP, port=1, servers=()), server) for server in many))  # fmt: skip
    lines = list(commands.lines(given_))
    assert all(len(line) < 16_000 for line in lines)
    assert ";".join(lines) == ";".join(given_)
