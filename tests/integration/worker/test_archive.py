"""ARCHIVE with a real Swift: what HAProxy served is in the store, and nowhere else."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support import folders
from tests.support.archives import local, logs_of, message, paths, stored, through
from tests.support.backends import EchoBackend, HttpBackend
from tests.support.faulty_store import (
    Answer,
    Corrupt,
    Cut,
    Fault,
    FaultyStore,
    LoseAnswer,
    Silence,
    Slow,
    Trickle,
)
from tests.support.gearmand import Gearmand
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.swift import Account, Swift
from tests.support.tlsfront import TlsFront
from tests.support.traffic import get
from tests.support.wait import until

REQUIRED = [
    "hpcs_object_store_type",
    "hpcs_object_store_basepath",
    "hpcs_object_store_endpoint",
    "hpcs_object_store_token",
    "loadbalancers",
]
NAME = r"haproxy-\d{8}T\d{6}\.\d{6}Z-\d{6}\.log\.gz"


pytestmark = pytest.mark.usefixtures("log_queue")


@pytest.fixture
def faulty(swift: Swift) -> Iterator[FaultyStore]:
    with FaultyStore(swift.port) as proxy:
        yield proxy


@dataclass(frozen=True)
class Serving:
    """A node with a load balancer at `port`, for all tests that leave it as it was."""

    node: Node
    port: int


@pytest.fixture(scope="module")
def steady(gearmand: Gearmand, log_queue: None) -> Iterator[Serving]:
    with (
        HttpBackend("a") as backend,
        Node(
            folder=folders.folder(),
            servers=[gearmand.address],
            name="steady",
            archive={"timeout": 1},
        ) as node,
    ):
        node.start()
        yield Serving(node, serving(node, backend))


def http(port: int, *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "x", "protocol": "HTTP", "port": port, "nodes": list(nodes), **more}


def ask(node: Node, port: int, *wanted: str) -> None:
    """One request each, whose lines are on disk when this returns."""
    for path in wanted:
        get(port, path)
    until(lambda: set(wanted) <= set(paths(local(node))), "the lines are written")


def serving(node: Node, *backends: HttpBackend, **more: Any) -> int:
    port = free_port()
    result = node.update(http(port, *(one.node() for one in backends), **more))
    assert result.ok, result.error
    return port


def test_objects_hold_line_for_line_what_haproxy_served(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a load balancer that has served five hundred requests
    port = serving(node, a)
    ask(node, port, *(f"/{number}" for number in range(500)))
    written = local(node)
    # When its logs are archived under an id
    sent = message(swift.account(), container, {"id": "15", "name": "lb #1", "protocol": "HTTP"})
    result = node.send(sent)
    # Then one object of that id has the lines as they were, the answer says so, the disk is free
    assert result.ok, result.error
    (name,) = swift.objects(container)
    assert re.fullmatch(f"15/{NAME}", name)
    assert stored(swift, container) == written
    assert [row["name"] for row in result.answer["objects"]] == [name]
    assert (result.answer["lines"], result.answer["lb_status"]) == (500, "ACTIVE")
    assert result.answer["bytes"] == result.answer["objects"][0]["bytes"] > 0
    assert {key: result.answer[key] for key in sent} == sent
    assert logs_of(node) == []
    # and a line has the form that syslog gives HAProxy's
    assert re.match(
        rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ haproxy\[\d+\]: 127\.0\.0\.1:\d+ \[", written
    )


def test_nothing_to_send_is_a_pass_that_says_so(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a load balancer without traffic / When it is archived / Then nothing is made of it
    serving(node, a)
    result = node.send(message(swift.account(), container))
    assert result.ok
    assert result.answer["note"] == "nothing to send"
    assert (result.answer["objects"], result.answer["lines"]) == ([], 0)


def test_each_protocol_has_its_own_objects_by_id_or_by_name(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given both kinds of load balancer, and requests that name the other one
    with EchoBackend() as echo:
        port, tcp = free_port(), free_port()
        galera = {"name": "y", "protocol": "GALERA", "port": tcp, "nodes": [echo.node()]}
        assert node.update(http(port, a.node()), galera).ok
        ask(node, port, "/tcp-in", "/x]:%20x%20[y]%20tcp-in")
        with socket.create_connection(("127.0.0.1", tcp)) as connection:
            connection.sendall(b"x http-in http-servers")
            assert connection.recv(100)
    until(lambda: b" tcp-in " in local(node), "the connection's line is written")
    # When both are archived, one by its id
    result = node.send(
        message(
            swift.account(), container, {"protocol": "HTTP"}, {"id": "a/b", "protocol": "GALERA"}
        )
    )
    # Then each line is with its own
    assert result.ok, result.error
    objects = swift.objects(container)
    assert {name.split("/")[0] for name in objects} == {"HTTP", "a%2Fb"}
    for name, text in objects.items():
        kind = b"http-in" if name.startswith("HTTP/") else b"tcp-in"
        assert all(line.split(b" ")[7] == kind for line in text.splitlines())
    assert (sum(row["lines"] for row in result.answer["objects"])) == 3


@pytest.mark.parametrize("field", ["hpcs_action", *REQUIRED, "loadbalancers[0].protocol"])
def test_a_missing_field_is_named_before_anything_is_rotated(
    field: str, steady: Serving, swift: Swift, container: str
) -> None:
    # Given lines, and an ARCHIVE without one of its fields
    node, port = steady.node, steady.port
    ask(node, port, "/x")
    sent = message(swift.account(), container)
    if field.endswith("protocol"):
        sent["loadbalancers"] = [{"id": "15"}]
    else:
        del sent[field]
    # When it is sent
    result = node.send(sent)
    # Then it is refused by the field's path and the log is as it was
    assert not result.ok
    assert f"{field}: is required" in str(result.error)
    assert [path.name for path in logs_of(node)] == ["http-in.log"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"hpcs_object_store_type": "s3"}, "not_supported", "'s3'"),
        ({"hpcs_object_store_basepath": "a/b"}, "malformed_message", "no slash"),
        ({"hpcs_object_store_basepath": ".."}, "malformed_message", "container"),
        ({"hpcs_object_store_endpoint": "ftp://x/"}, "malformed_message", "https:// URL"),
        ({"hpcs_object_store_endpoint": "https://u:p@x/v1"}, "malformed_message", "no user"),
        ({"hpcs_object_store_token": "to\r\nken"}, "malformed_message", "printable"),
    ],
)
def test_a_destination_that_cannot_be_is_refused_before_anything_is_rotated(
    change: dict[str, str],
    code: str,
    words: str,
    steady: Serving,
    swift: Swift,
    container: str,
) -> None:
    node, port = steady.node, steady.port
    ask(node, port, "/x")
    # Given a message with one bad field / When it is sent / Then it is refused by name
    result = node.send({**message(swift.account(), container), **change})
    assert (result.ok, result.error_code) == (False, code)
    assert words in str(result.error)
    assert [path.name for path in logs_of(node)] == ["http-in.log"]


def test_plain_http_is_refused_where_no_setting_allows_it(
    make_node: Callable[..., Node], swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a node with the settings as they are / When a store without TLS is named
    node = make_node(archive={"allow_http": False})
    port = serving(node, a)
    ask(node, port, "/x")
    result = node.send(message(swift.account(), container))
    # Then it is refused, and the path says why
    assert result.error_code == "malformed_message"
    assert "hpcs_object_store_endpoint: must be https://" in str(result.error)


@pytest.mark.parametrize(
    ("fault", "method", "code"),
    [
        (Answer(401), "HEAD", "store_unauthorized"),
        (Answer(401), "PUT", "store_unauthorized"),
        (Answer(403), "PUT", "store_forbidden"),
        (Answer(413), "PUT", "store_full"),
        (Answer(500), "PUT", "store_error"),
        (Answer(503), "HEAD", "store_error"),
        (Answer(507), "PUT", "store_full"),
        (Answer(302), "PUT", "store_error"),
        (Cut(100), "PUT", "store_unreachable"),
        (LoseAnswer(), "PUT", "store_unreachable"),
        (Silence(), "PUT", "store_timeout"),
        (Silence(), "HEAD", "store_timeout"),
        (Corrupt(), "PUT", "checksum_mismatch"),
    ],
    ids=str,
)
def test_a_failing_store_loses_no_line_and_gets_none_twice(
    fault: Fault,
    method: str,
    code: str,
    steady: Serving,
    faulty: FaultyStore,
    swift: Swift,
    container: str,
) -> None:
    # Given lines, and a store that fails at one step
    node, port = steady.node, steady.port
    assert node.send(message(swift.account(), f"{container}before")).ok
    ask(node, port, *(f"/{number}" for number in range(50)))
    account = swift.account()
    sent = message(through(account, faulty.port), container)
    faulty.on(method, fault, part=f"/{container}")
    # When they are archived
    result = node.send(sent)
    # Then the answer says which fault it was, and every line is on the node
    assert (result.ok, result.error_code) == (False, code), result.error
    assert len(paths(local(node))) == 50
    # When the store is well again
    faulty.mend()
    ask(node, port, "/after")
    assert node.send(sent).ok
    # Then each line is in one object
    assert paths(stored(swift, container)) == {f"/{n}": 1 for n in [*range(50), "after"]}
    assert logs_of(node) == []
    assert account.token not in everything_said(node)


def everything_said(node: Node) -> str:
    keeper = (node.run_dir / "keeper.log").read_text(errors="replace")
    return node.said() + keeper


def test_a_store_that_is_not_there_is_told_from_one_that_refuses(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given the account of another, a token that nobody gave out, and a port where nobody listens
    port = serving(node, a)
    ask(node, port, "/x")
    account = swift.account()
    others = Account(account.endpoint, swift.account("other:tester").token)
    invented = Account(account.endpoint, "AUTH_tkinvented")
    nowhere = through(account, free_port())
    for wrong, code in [
        (others, "store_forbidden"),
        (invented, "store_unauthorized"),
        (nowhere, "store_unreachable"),
    ]:
        # When each is tried / Then each is named, and the line stays
        result = node.send(message(wrong, container))
        assert (result.ok, result.error_code) == (False, code), result.error
        assert set(paths(local(node))) == {"/x"}
    assert "identity service" in str(node.send(message(invented, container)).error)


def test_a_full_container_keeps_the_lines_on_the_node(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a container with a quota of no object at all
    swift.connection().put_container(container, {"X-Container-Meta-Quota-Count": "0"})
    port = serving(node, a)
    ask(node, port, *(f"/{number}" for number in range(50)))
    # When it is archived to / Then the answer says what is full
    result = node.send(message(swift.account(), container))
    assert (result.ok, result.error_code) == (False, "store_full"), result.error
    assert len(paths(local(node))) == 50


def test_a_large_log_is_one_object_of_several_segments(
    make_node: Callable[..., Node], swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a log of 5 MB and segments of 1 MiB
    node = make_node(archive={"segment_bytes": 1 << 20})
    port = serving(node, a)
    ask(node, port, "/x")
    (log,) = logs_of(node)
    line = log.read_bytes()
    with log.open("ab") as file:
        file.writelines(line.replace(b"GET /x", b"GET /%d" % number) for number in range(35_000))
    written = log.read_bytes()
    # When it is archived (the keeper wrote one line of it, the rest is as good)
    result = node.send(message(swift.account(), container))
    # Then one object reads as the whole
    assert result.ok, result.error
    assert stored(swift, container) == written
    assert result.answer["lines"] == 35_001
    head = swift.connection().head_object(container, result.answer["objects"][0]["name"])
    assert head["x-static-large-object"] == "True"


def test_two_archives_at_once_send_no_line_twice(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given lines
    port = serving(node, a)
    ask(node, port, *(f"/{number}" for number in range(200)))
    sent = message(swift.account(), container)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(node.send(sent))) for _ in range(4)]
    # When four ask for them at the same time
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    # Then all are answered PASS, and each line was sent once
    assert [one.ok for one in results] == [True] * 4
    assert sum(one.answer["lines"] for one in results) == 200
    assert set(paths(stored(swift, container)).values()) == {1}


def test_logs_can_be_archived_after_delete_by_the_id_of_their_load_balancer(
    node: Node, swift: Swift, container: str, a: HttpBackend
) -> None:
    # Given a load balancer with an id and unsent lines, which is deleted
    port = serving(node, a, id="15")
    ask(node, port, "/of15")
    assert node.do("DELETE").ok
    # and another that has come after it
    port = serving(node, a, id="16")
    ask(node, port, "/of16")
    account = swift.account()
    # When each is archived by its id
    by_16 = node.send(message(account, f"{container}b", {"id": 16, "protocol": "HTTP"}))
    by_15 = node.send(message(account, container, {"id": "15", "protocol": "HTTP"}))
    # Then each got its own lines
    assert (by_15.ok, by_16.ok) == (True, True)
    assert paths(stored(swift, container)) == {"/of15": 1}
    assert paths(stored(swift, f"{container}b")) == {"/of16": 1}


def test_without_any_load_balancer_there_is_nothing_to_archive(
    node: Node, swift: Swift, container: str
) -> None:
    result = node.send(message(swift.account(), container))
    assert (result.ok, result.error_code) == (False, "no_load_balancer")


def test_a_certificate_is_verified_by_the_ca_of_the_settings(
    make_node: Callable[..., Node], swift: Swift, container: str, a: HttpBackend, folder: Path
) -> None:
    # Given a store behind TLS, a node that knows its authority and one that knows another
    authority = trustme.CA()
    pem, ours, theirs = folder / "store.pem", folder / "ours.pem", folder / "theirs.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(ours))
    trustme.CA().cert_pem.write_to_path(str(theirs))
    account = swift.account()
    with TlsFront(folder=folder, target=swift.port, pem=pem, tls="TLSv1.3") as front:
        secure = through(account, front.port)
        secure = Account(secure.endpoint.replace("http:", "https:"), account.token)
        for ca, code in [(theirs, "store_untrusted"), ("", "store_untrusted"), (ours, None)]:
            node = make_node(archive={"ca": ca, "allow_http": False})
            port = serving(node, a)
            ask(node, port, "/x")
            # When each archives to it / Then only the one that knows it sends anything
            result = node.send(message(secure, container))
            assert result.error_code == code, result.error
    assert paths(stored(swift, container)) == {"/x": 1}


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_a_store_that_answers_byte_by_byte_is_cut_off_at_the_deadline(
    method: str,
    make_node: Callable[..., Node],
    faulty: FaultyStore,
    swift: Swift,
    container: str,
    a: HttpBackend,
) -> None:
    # Given a store that says a byte now and then, which is never too long a pause
    node = make_node(archive={"timeout": 60, "deadline": 3})
    port = serving(node, a)
    ask(node, port, "/x")
    faulty.on(method, Trickle(), part=f"/{container}")
    # When it is archived / Then it ends at the deadline
    result = node.send(message(through(swift.account(), faulty.port), container))
    assert (result.ok, result.error_code) == (False, "store_timeout"), result.error
    assert set(paths(local(node))) == {"/x"}


def test_a_store_that_is_slow_past_the_deadline_keeps_the_lines_on_the_node(
    make_node: Callable[..., Node],
    faulty: FaultyStore,
    swift: Swift,
    container: str,
    a: HttpBackend,
) -> None:
    # Given a store that takes something every second, and a log that would take it an hour
    node = make_node(archive={"timeout": 60, "deadline": 3})
    port = serving(node, a)
    ask(node, port, "/x")
    (log,) = logs_of(node)
    with log.open("ab") as file:
        file.writelines(b"%s\n" % secrets.token_hex(100).encode() for _ in range(150_000))
    written = log.read_bytes()
    faulty.on("PUT", Slow(4096), part="/haproxy-")
    # When it is archived / Then the time for one ARCHIVE is kept, and nothing is gone
    result = node.send(message(through(swift.account(), faulty.port), container))
    assert (result.ok, result.error_code) == (False, "store_timeout"), result.error
    assert local(node) == written
    assert swift.objects(container) == {}
