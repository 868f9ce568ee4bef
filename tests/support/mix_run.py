"""Carries a mix of changes out under load, and proves each by what clients get."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from libra_haproxy.certificates import Bundle
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server, Timeouts, Tls
from libra_haproxy.runtime import Worker
from tests.support.certificates import bundle, trusting
from tests.support.engine import Engine
from tests.support.h2client import H2Client
from tests.support.members import EchoMembers, HttpMembers
from tests.support.mix import FIRST, PLACES, Kind, Truth, Wanted, changes
from tests.support.mix_clients import Client, Kept, NewConnections, fetch
from tests.support.mix_h2 import KeptH2, NewH2
from tests.support.mix_streams import NewStreams, Stream, greet
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.steady_wrk import SteadyWrk
from tests.support.wait import until

_NAME = "libra.example"

_LOOKS = 12
"""How many answers in a row show that a member gets nothing any more."""


@dataclass
class Outcome:
    """What came of a mix: `requests` were made meanwhile, and `reloads` were needed."""

    changes: int = 0
    reloads: int = 0
    requests: int = 0
    failed: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Listener:
    """A load balancer in the mix: `who` answers a new client, and those who are its load."""

    backend: str
    who: Callable[[], str]
    clients: Sequence[Client | SteadyWrk]


def http_and_tcp(node: Node, folder: Path, count: int) -> Outcome:
    """Changes of an HTTP load balancer with cookies and of a TCP one, both by each UPDATE."""
    http, tcp = free_port(), free_port()
    truth = Truth(FIRST)
    with HttpMembers(folder, PLACES) as members, EchoMembers(PLACES) as echoes:

        def apply(wanted: Wanted) -> None:
            options = {"client_timeout": wanted.client_seconds * 1000}
            result = node.update(
                *(
                    {"protocol": protocol, "port": port, "nodes": nodes, "options": options}
                    for protocol, port, nodes in (
                        ("HTTP", http, wanted.nodes(members.ports)),
                        ("TCP", tcp, wanted.nodes(echoes.ports)),
                    )
                )
            )
            assert result.ok, result.error

        apply(FIRST)
        of_http: list[Client | SteadyWrk] = [
            SteadyWrk(http, folder, keep_alive=True),
            SteadyWrk(http, folder, keep_alive=False),
            Kept(http, truth, pause=0.005),
            Kept(http, truth, pause=0.3),
            NewConnections(http, truth),
        ]
        of_tcp: list[Client | SteadyWrk] = [NewStreams(tcp, truth)]
        of_tcp += [Stream(tcp) for _ in FIRST.members]
        return carried_out(
            count,
            truth=truth,
            apply=apply,
            listeners=[
                Listener("http-servers", lambda: fetch(http), of_http),
                Listener("tcp-servers", lambda: greet(tcp), of_tcp),
            ],
            worker=node.haproxy_worker,
        )


def over_tls(engine: Engine, folder: Path, count: int) -> Outcome:
    """Changes of a listener that ends TLS, by the engine; each tenth has another certificate."""
    port = free_port()
    truth = Truth(FIRST)
    context = trusting("h2")
    bundles = [bundle(_NAME) for _ in range(2)]
    served: list[Bundle] = []
    with HttpMembers(folder, PLACES) as members:

        def apply(wanted: Wanted) -> None:
            used = bundles[len(served) // 10 % 2]
            lb = LoadBalancer(
                protocol=Protocol.HTTP,
                port=port,
                tls=Tls(certificate=used.certificate),
                timeouts=Timeouts(client=wanted.client_seconds * 1000),
                servers=tuple(
                    Server(
                        address="127.0.0.1",
                        port=members.ports[one.place],
                        node_id=one.number,
                        weight=one.weight,
                    )
                    for one in wanted.members
                ),
            )
            engine.instance.apply(Model(load_balancers=(lb,)), certificates=[used])
            served.append(used)

        def who() -> str:
            client = H2Client(port, context, name=_NAME)
            try:
                assert client.leaf == served[-1].certificate.leaf, "another certificate is shown"
                return client.get().body.decode()
            finally:
                client.close()

        apply(FIRST)
        clients: list[Client | SteadyWrk] = [
            SteadyWrk(port, folder, keep_alive=True, scheme="https"),
            SteadyWrk(port, folder, keep_alive=False, scheme="https"),
            KeptH2(port, truth, context, pause=0.005),
            KeptH2(port, truth, context, pause=0.3),
            NewH2(port, truth, context),
        ]
        return carried_out(
            count,
            truth=truth,
            apply=apply,
            listeners=[Listener("http-servers", who, clients)],
            worker=engine.worker,
        )


def carried_out(
    count: int,
    *,
    truth: Truth,
    apply: Callable[[Wanted], None],
    listeners: Sequence[Listener],
    worker: Worker,
) -> Outcome:
    """Make `count` changes, each proved before the next; FIRST is served already."""
    outcome = Outcome()
    clients = [client for listener in listeners for client in listener.clients]
    with ExitStack() as stack:
        for client in clients:
            stack.enter_context(client)
        for kind, wanted in itertools.islice(changes(), count):
            before, pid = truth.now, worker.pid_and_digest()[0]
            with truth.changing(wanted):
                apply(wanted)
            outcome.changes += 1
            _prove(before, wanted, listeners, worker)
            reloaded = worker.pid_and_digest()[0] != pid
            assert reloaded or kind is not Kind.RELOAD, "the process is the one of before"
            outcome.reloads += reloaded
    for client in clients:
        assert client.done, f"{client.name} did nothing"
        outcome.requests += client.done
        outcome.failed += client.failed
        outcome.cut += client.cut
    return outcome


def _answers(listener: Listener, place: str) -> bool:
    return listener.who() == place


def _prove(before: Wanted, wanted: Wanted, listeners: Sequence[Listener], worker: Worker) -> None:
    """The new member's own answer is seen, the old one's is not, and weights are in force."""
    weights = {(row.backend, row.name): row.weight for row in worker.servers()}
    for listener in listeners:
        for place in wanted.places - before.places:
            until(partial(_answers, listener, place), f"{place} answers")
        for _ in range(_LOOKS if before.places - wanted.places else 1):
            place = listener.who()
            assert place in wanted.places, f"{place} answers, and is no member"
        for one in wanted.members:
            assert weights[listener.backend, f"id-{one.number}"] == one.weight
