"""What a parsed request holds: canonical values, defaults, and nothing that was not sent."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libra_messages.codes import Code
from libra_messages.decode import decode
from libra_messages.faults import Malformed
from libra_messages.worker import ACTIONS, Archive, action_of, parse
from tests.unit.messages.build import balancer, node, parsed, update


def refused(message: object) -> Malformed:
    with pytest.raises(Malformed) as caught:
        parse(message, max_nodes=100)  # type: ignore[arg-type]
    return caught.value


def test_a_short_update_gets_every_default() -> None:
    # Given an UPDATE with the required fields alone
    (found,) = parsed(balancer("HTTP"))
    # Then every other field has its documented default
    assert (found.port, found.algorithm, found.monitor) == (80, "ROUND_ROBIN", None)
    assert found.options.model_dump() == {
        "client_timeout": 30_000,
        "server_timeout": 30_000,
        "connect_timeout": 30_000,
        "connect_retries": 3,
    }
    (member,) = found.nodes
    assert (member.id, member.weight, member.condition, member.backup) == (
        None,
        1,
        "ENABLED",
        False,
    )


@pytest.mark.parametrize(("protocol", "port"), [("HTTP", 80), ("tcp", 443), ("Galera", 3306)])
def test_the_default_port_is_that_of_the_protocol(protocol: str, port: int) -> None:
    # Given no port / When parsed / Then the protocol decides
    assert parsed(balancer(protocol))[0].port == port


def test_numbers_come_as_numbers_or_as_strings() -> None:
    # Given strings of digits wherever a number may stand
    members = [node(1, port="8080", weight="7")]
    options = {"client_timeout": "1000", "connect_retries": "0"}
    monitor = {"delay": "5", "attempts": "4"}
    (found,) = parsed(balancer("TCP", members, port="1", options=options, monitor=monitor))
    # Then the request holds numbers
    assert (found.port, found.nodes[0].port, found.nodes[0].weight) == (1, 8080, 7)
    assert (found.options.client_timeout, found.options.connect_retries) == (1000, 0)
    assert found.monitor is not None
    assert (found.monitor.delay, found.monitor.attempts) == (5, 4)


def test_the_timeout_of_a_monitor_defaults_to_its_delay() -> None:
    # Given a delay and no timeout
    (found,) = parsed(balancer(monitor={"delay": 7}))
    # Then the timeout is the delay, and a bad delay is one fault, not two
    assert found.monitor is not None
    assert found.monitor.timeout == 7
    assert len(refused(update(balancer(monitor={"delay": "x"}))).faults) == 1


@pytest.mark.parametrize(
    ("sent", "path"), [("", "/"), (None, "/"), ("health", "/health"), ("/a?b=%20", "/a?b=%20")]
)
def test_the_path_of_a_monitor_always_starts_with_a_slash(sent: str | None, path: str) -> None:
    # Given a path with or without a slash, or none / Then there is one
    (found,) = parsed(balancer(monitor={"type": "HTTP", "path": sent}))
    assert found.monitor is not None
    assert found.monitor.path == path


def test_the_id_of_a_node_is_a_string_and_keeps_the_type_it_was_sent_in() -> None:
    # Given ids as a number, as a string, empty and absent
    members = [node(1, id=5), node(2, id="6"), node(3, id=""), node(4)]
    (found,) = parsed(balancer(nodes=members))
    # Then they compare as strings and can be answered in the sender's type
    assert [member.id for member in found.nodes] == ["5", "6", None, None]
    assert [member.id_as_sent for member in found.nodes] == [5, "6", None, None]


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ("2001:DB8:0:0:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::FFFF:102:304", "::ffff:1.2.3.4"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_an_address_has_one_spelling(sent: str, canonical: str) -> None:
    # Given any spelling of an address / Then the request holds the canonical one
    assert parsed(balancer(nodes=[{"address": sent, "port": 1}]))[0].nodes[0].address == canonical


def test_galera_without_backup_makes_the_first_enabled_node_the_writer() -> None:
    # Given GALERA nodes of which none says backup, the first of them disabled
    members = [node(1, condition="disabled"), node(2), node(3, backup=None)]
    (found,) = parsed(balancer("GALERA", members))
    # Then the second writes
    assert [member.backup for member in found.nodes] == [True, False, True]


def test_galera_with_one_writer_is_kept_as_sent() -> None:
    # Given a message that names its writer
    members = [node(1, backup="TRUE"), node(2, backup="FALSE"), node(3, backup=True)]
    (found,) = parsed(balancer("GALERA", members))
    # Then that one writes
    assert [member.backup for member in found.nodes] == [True, False, True]


def test_names_and_ids_of_a_load_balancer_may_be_any_text() -> None:
    # Given text that must never reach a configuration
    text = "lb #1\n%[env(X)]${X}'\"\\\0\u202e"
    (found,) = parsed(balancer(name=text, id=text))
    # Then it is taken and kept
    assert (found.name, found.id) == (text, text)


def test_parsing_leaves_the_message_as_it_was() -> None:
    # Given a message in which much is filled in by default
    message = update(balancer("GALERA", [node(1), node(2)], monitor={}))
    before = repr(message)
    # When it is parsed
    parse(message, max_nodes=100)
    # Then the sender's object is untouched
    assert repr(message) == before


def test_a_request_is_frozen() -> None:
    # Given a parsed request / When it is changed / Then that is an error
    (found,) = parsed(balancer())
    with pytest.raises(ValidationError):
        setattr(found, "port", 1)  # noqa: B010


def test_a_field_given_twice_by_exact_name_is_refused_and_an_unknown_one_is_not() -> None:
    # Given exact duplicates of a known and of an unknown field
    text = b'{"hpcs_action":"UPDATE","x":1,"x":2,"loadbalancers":[{"protocol":"HTTP",'
    text += b'"nodes":[{"address":"10.0.0.1","port":80,"port":81,"y":1,"y":1}]}]}'
    # Then the known one is the only fault
    (fault,) = refused(decode(text)).faults
    assert str(fault) == ("loadbalancers[0].nodes[0].port: given more than once: 'port', 'port'")


def test_faults_between_fields_are_told_beside_faults_within_fields() -> None:
    # Given a bad port, and a duplicate id on the very same node
    members = [node(1, id="a"), node(2, id="a", port="70000")]
    # Then both are told
    assert str(refused(update(balancer(nodes=members)))) == (
        "loadbalancers[0].nodes[1].port: must be 1 to 65535, got '70000'; "
        "loadbalancers[0].nodes[1].id: 'a' is the id of nodes[0] too"
    )


def test_only_ascii_letters_have_case() -> None:
    # Given a long s and a Kelvin sign, which lower() or upper() would fold to s and k
    message = update(balancer(nodes=[{**node(), "bac\u212aup": "x", "addre\u017fs": "x"}]))
    # Then they name other, unknown fields
    assert parse(message, max_nodes=1).action == "UPDATE"
    assert refused({"hpcs_action": "\u017ftats"}).code == Code.UNKNOWN_ACTION


def test_a_message_far_over_its_limits_gets_a_short_answer() -> None:
    # Given a million empty nodes where ten are allowed
    message = update(balancer(nodes=[{}] * 1_000_000))
    with pytest.raises(Malformed) as caught:
        parse(message, max_nodes=10)
    # Then the limit is told, and not two faults for each node
    assert "at most 10 nodes are taken in one message, got 1000000" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_the_token_of_an_object_store_is_never_shown() -> None:
    # Given an ARCHIVE with a good token, and one whose token is of a wrong kind
    message = {
        "hpcs_action": "archive",
        "HPCS_OBJECT_STORE_TYPE": "swift",
        "hpcs_object_store_basepath": "logs",
        "hpcs_object_store_endpoint": "https://example.com/v1/100",
        "hpcs_object_store_token": "s3cret",
        "loadBalancers": [{"id": 15, "protocol": "http"}],
    }
    request = parse(message, max_nodes=1)
    # Then it can be had, but not by accident
    assert isinstance(request, Archive)
    assert request.hpcs_object_store_token.get_secret_value() == "s3cret"
    assert "s3cret" not in f"{request} {request!r} {request.model_dump()}"
    for wrong in (["s3cret"], {"s3cret": "s3cret"}, 5353):
        told = str(refused({**message, "hpcs_object_store_token": wrong}))
        assert "s3cret" not in told
        assert "5353" not in told


@pytest.mark.parametrize("action", ACTIONS)
def test_the_action_of_a_message_is_known_for_the_log(action: str) -> None:
    # Given any casing / Then the log has one spelling
    assert action_of({"HPCS_action": action.capitalize()}) == action


@pytest.mark.parametrize(
    "message", [None, [], {}, {"hpcs_action": "NO"}, {"hpcs_action": 1}, {1: 2}]
)
def test_a_message_without_a_known_action_has_none_for_the_log(message: object) -> None:
    # Given no action / Then there is none, and nothing is raised
    assert action_of(message) is None
