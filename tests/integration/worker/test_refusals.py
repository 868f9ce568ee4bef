"""What is refused: each with its own clear error, and nothing changed by any of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from libra_common.jobs import JobClient, parse_server
from tests.support import folders
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get
from tests.support.wait import until

POISON = [
    "\n",
    "\r",
    "'",
    '"',
    "#",
    "\\",
    " ",
    "%[env(HOME)]",
    "${HOME}",
    "a\n    bind :1",
    "\u2028",
]


class Serving:
    """A node with a load balancer in force, and what must still be so after a refusal."""

    def __init__(self, node: Node, backend: HttpBackend, port: int) -> None:
        self.node, self.backend, self.port = node, backend, port
        self.pid, self.text = node.worker_pid, node.config_text()
        self.state = (node.state_dir / "state.json").read_bytes()

    def raw(self, data: bytes) -> dict[str, Any]:
        client = JobClient(servers=[parse_server(self.node.servers[0])])
        answer: dict[str, Any] = json.loads(client.submit(self.node.name, data, timeout=30))
        return answer

    def must_be_as_before(self) -> None:
        assert self.node.worker_pid == self.pid
        assert self.node.config_text() == self.text
        assert (self.node.state_dir / "state.json").read_bytes() == self.state
        # (the history is written after the answer)
        until(lambda: not list(self.node.state_dir.glob("*.new")), "nothing stays staged")
        assert get(self.port).body == self.backend.name.encode()


@pytest.fixture(scope="module")
def serving(gearmand: Gearmand) -> Iterator[Serving]:
    folder = folders.folder()
    with (
        HttpBackend("a") as backend,
        Node(folder=folder, servers=[gearmand.address], name="refuser", max_nodes=5) as node,
    ):
        node.start()
        port = free_port()
        lb = {"protocol": "HTTP", "port": port, "nodes": [backend.node(id=1)]}
        assert node.update(lb).ok
        yield Serving(node, backend, port)


def lb(**fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "nodes": [{"address": "127.0.0.1", "port": 80}], **fields}


def one(**fields: Any) -> dict[str, Any]:
    """An UPDATE whose one node has these fields."""
    return update(lb(nodes=[{"address": "127.0.0.1", "port": 80, **fields}]))


def update(*load_balancers: Any) -> dict[str, Any]:
    return {"hpcs_action": "UPDATE", "loadBalancers": list(load_balancers)}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"not json", "bad_json"),
        (b'{"hpcs_action": "STATS"} x', "bad_json"),
        (b'{"hpcs_action": "STATS", "x": NaN}', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 10_000, "bad_json"),
        (b"[]", "not_an_object"),
        (b'"STATS"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"7", "not_an_object"),
    ],
)
def test_what_is_no_json_object_is_answered_by_the_added_fields_alone(
    serving: Serving, data: bytes, code: str
) -> None:
    answer = serving.raw(data)
    assert answer["hpcs_error_code"] == code
    assert answer["badRequest"]["validationErrors"]["message"] == answer["hpcs_error"]
    assert set(answer) == {"hpcs_response", "hpcs_error", "hpcs_error_code", "badRequest"}
    serving.must_be_as_before()


MESSAGES = {
    "no action": ({}, "missing_action", "hpcs_action"),
    "unknown action": ({"hpcs_action": "EXPLODE"}, "unknown_action", "hpcs_action"),
    "no load balancers": ({"hpcs_action": "UPDATE"}, "malformed_message", "loadbalancers"),
    "an empty list": (update(), "malformed_message", "loadbalancers"),
    "two HTTP": (update(lb(), lb(port=81)), "malformed_message", "HTTP"),
    "two TCP": (
        update(lb(protocol="TCP"), lb(protocol="tcp", port=81)),
        "malformed_message",
        "TCP",
    ),
    "three": (
        update(lb(), lb(protocol="TCP"), lb(port=82)),
        "malformed_message",
        "loadbalancers",
    ),
    "no protocol": (
        update({"nodes": [{"address": "127.0.0.1", "port": 80}]}),
        "malformed_message",
        "loadbalancers[0].protocol",
    ),
    "an unknown protocol": (update(lb(protocol="UDP")), "malformed_message", "[0].protocol"),
    "no nodes": (update(lb(nodes=[])), "malformed_message", "loadbalancers[0].nodes"),
    "nodes left out": (update({"protocol": "HTTP"}), "malformed_message", "[0].nodes"),
    "a host name": (one(address="example.com"), "malformed_message", "nodes[0].address"),
    "a bad address": (one(address="1.2.3"), "malformed_message", "nodes[0].address"),
    "a bad port": (one(port=70000), "malformed_message", "nodes[0].port"),
    "port zero": (one(port="0"), "malformed_message", "nodes[0].port"),
    "weight 257": (one(weight="257"), "malformed_message", "nodes[0].weight"),
    "a negative weight": (one(weight=-1), "malformed_message", "nodes[0].weight"),
    "a bad condition": (one(condition="MAYBE"), "malformed_message", "nodes[0].condition"),
    "more than max_nodes": (
        update(lb(nodes=[{"address": f"127.0.0.{n}", "port": 80} for n in range(1, 7)])),
        "malformed_message",
        "5",
    ),
    "one name twice": (
        {"hpcs_action": "UPDATE", "LoadBalancers": [lb(PORT=81, port=82)]},
        "malformed_message",
        "more than once",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_malformed_message_is_refused_naming_the_field(serving: Serving, case: str) -> None:
    # Given a message with a fault
    message, code, words = MESSAGES[case]
    # When it is sent
    result = serving.node.send(message)
    # Then the answer names the place, is the original object, and nothing changed
    assert result.error_code == code
    assert words in (result.error or "")
    assert result.bad_request == result.error
    assert {key: result.answer[key] for key in message} == message
    serving.must_be_as_before()


def test_all_faults_of_a_message_are_told_at_once(serving: Serving) -> None:
    result = serving.node.send(one(port=0, weight=999, address="nowhere"))
    for field in ("port", "weight", "address"):
        assert f"loadbalancers[0].nodes[0].{field}" in (result.error or "")


def test_a_message_over_the_size_limit_is_refused(
    make_node: Callable[..., Node], gearmand: Gearmand
) -> None:
    # Given a node that takes 4,096 bytes
    node = make_node(start=False)
    node.config.write_text(
        node.config.read_text().replace("[gearman]", "[gearman]\nmessage_limit = 4096")
    )
    node.start()
    # When a longer message comes
    result = node.send({"hpcs_action": "STATS", "padding": "x" * 4096})
    # Then it is refused by its size, and the node goes on
    assert result.error_code == "message_too_large"
    assert "4096" in (result.error or "")
    assert node.do("DISCOVER").ok


@pytest.mark.parametrize("poison", POISON, ids=ascii)
@pytest.mark.parametrize(
    "place", ["id", "address", "port", "weight", "condition", "backup", "algorithm", "path",
              "type", "protocol", "client_timeout"],
)  # fmt: skip
def test_text_that_would_break_out_is_refused_wherever_it_would_reach_the_file(
    serving: Serving, place: str, poison: str
) -> None:
    value: Any = f"1{poison}1"
    messages: dict[str, Any] = {
        "algorithm": update(lb(algorithm=value)),
        "protocol": update(lb(protocol=value)),
        "client_timeout": update(lb(options={"client_timeout": value})),
        "path": update(lb(monitor={"type": "HTTP", "path": f"/{value}"})),
        "type": update(lb(monitor={"type": value})),
    }
    message = messages.get(place) or one(**{place: value})
    result = serving.node.send(message)
    assert result.error_code == "malformed_message"
    assert place in (result.error or "")
    serving.must_be_as_before()


def test_the_same_text_in_names_is_accepted_and_echoed_and_never_reaches_the_file(
    serving: Serving,
) -> None:
    # Given names of everything with every kind of poison in them
    names = "".join(POISON)
    message = update(
        {
            "name": names,
            "id": names,
            "protocol": "HTTP",
            "port": serving.port,
            "nodes": [serving.backend.node(id=1, name=names, note={"deep": [names]})],
        }
    )
    # When it is sent
    result = serving.node.send({**message, names: names})
    # Then it passes, comes back as it was, and the file is the same
    assert result.ok
    assert {key: result.answer[key] for key in (*message, names)} == {**message, names: names}
    assert serving.node.config_text() == serving.text
    assert get(serving.port).body == b"a"
    serving.state = (serving.node.state_dir / "state.json").read_bytes()


def test_a_taken_port_is_refused_while_the_old_configuration_serves(
    serving: Serving,
) -> None:
    # Given a port that somebody else listens on
    with HttpBackend("stranger") as stranger:
        # When an UPDATE asks for it, beside the old one
        result = serving.node.update(
            {"protocol": "HTTP", "port": serving.port, "nodes": [serving.backend.node(id=1)]},
            {"protocol": "TCP", "port": stranger.port, "nodes": [serving.backend.node(id=1)]},
        )
        # Then it is refused by that name, and nobody was disturbed
        assert result.error_code == "port_taken"
        assert str(stranger.port) in (result.error or "")
        assert get(stranger.port).body == b"stranger"
        serving.must_be_as_before()


def test_two_nodes_on_one_machine_never_share_a_port(
    serving: Serving, make_node: Callable[..., Node], b: HttpBackend
) -> None:
    # Given a second worker on the machine
    other = make_node()
    # When it is asked to listen where the first one does
    result = other.update({"protocol": "HTTP", "port": serving.port, "nodes": [b.node()]})
    # Then that fails, and every request goes to the first
    assert result.error_code == "port_taken"
    assert {get(serving.port).body for _ in range(10)} == {b"a"}
    assert not other.pids()
    # And elsewhere it serves beside the first
    port = free_port()
    assert other.update({"protocol": "HTTP", "port": port, "nodes": [b.node()]}).ok
    assert (get(port).body, get(serving.port).body) == (b"b", b"a")


def test_a_state_directory_has_one_owner(serving: Serving, make_node: Callable[..., Node]) -> None:
    # Given a second worker with the first one's directories
    other = make_node(start=False, state_dir=serving.node.state_dir)
    text = other.config.read_text().replace(f"state_dir = {other.state_dir}\n", "")
    other.config.write_text(text)
    # When it starts
    other.start(wait=False)
    until(other.ended, "the second worker ends")
    # Then it ends, naming the owner
    assert other.process is not None
    assert other.process.returncode != 0
    assert "belongs to libra_worker refuser" in other.said()
    serving.must_be_as_before()
