"""A controller whose time is over cannot change anything: the real agent's fence."""

from __future__ import annotations

import http.client
import threading
import uuid

import pytest

from libra_amphora.fence import Fence, OlderFence
from tests.support import folders
from tests.support.amphora import Amphora, Reply
from tests.support.ports import free_port
from tests.support.wait import until

LB = str(uuid.uuid4())


def text(port: int) -> str:
    return (
        "defaults\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\n"
        f"frontend {uuid.uuid4()}\n    mode http\n    bind 127.0.0.1:{port}\n"
    )


def call(
    amphora: Amphora, method: str, path: str, body: str = "", *, fence: object = None
) -> Reply:
    headers = {} if fence is None else {"X-Libra-Fence": str(fence)}
    connection: http.client.HTTPConnection = amphora.connect()
    try:
        connection.request(method, f"/1.0/{path}", body or None, headers)
        return Reply.read(connection.getresponse())
    finally:
        connection.close()


def put(amphora: Amphora, source: str, fence: object = None) -> Reply:
    return call(amphora, "PUT", f"loadbalancer/{amphora.id}/{LB}/haproxy", source, fence=fence)


def test_an_older_number_changes_nothing_and_outlives_a_kill(amphora: Amphora) -> None:
    # Given a configuration by number 5
    new, old = text(free_port()), text(free_port())
    assert put(amphora, new, 5).status == 201
    # When number 4 sends one
    said = put(amphora, old, 4)
    # Then it is refused in words, and nothing has changed
    assert said.status == 409
    assert "4 is older than 5" in said.body["details"]
    assert call(amphora, "GET", f"loadbalancer/{LB}/haproxy", fence=4).body == new
    # And so it is for every other change, and after a kill -9
    amphora.kill()
    amphora.start()
    for method, path in (
        ("PUT", f"loadbalancer/{LB}/reload"),
        ("DELETE", f"listeners/{LB}"),
        ("POST", "plug/network"),
        ("PUT", "config"),
    ):
        body = '{"mac_address": "02:00:00:00:00:01"}' if method == "POST" else ""
        assert call(amphora, method, path, body, fence=4).status == 409
    # And the same number, a higher one and whoever sends none go on
    assert put(amphora, old, 5).status == 201
    assert put(amphora, new, 6).status == 201
    assert put(amphora, old).status == 201
    assert call(amphora, "GET", "info").headers["x-libra-fence"] == "6"


@pytest.mark.parametrize("sent", ["-1", "x", "1.5", "", "99999999999999999999"])
def test_a_number_that_is_none_is_refused(amphora: Amphora, sent: str) -> None:
    said = put(amphora, text(free_port()), sent)
    assert said.status == 400
    assert "X-Libra-Fence" in said.body["details"]
    assert call(amphora, "GET", f"loadbalancer/{LB}/haproxy").status == 404


def test_a_configuration_says_whether_it_is_in_force(amphora: Amphora) -> None:
    def in_force() -> str:
        return call(amphora, "GET", f"loadbalancer/{LB}/haproxy").headers["x-libra-in-force"]

    put(amphora, text(free_port()))
    assert in_force() == "false"
    assert call(amphora, "PUT", f"loadbalancer/{LB}/start").status == 202
    assert in_force() == "true"
    put(amphora, text(free_port()))
    assert in_force() == "false"
    call(amphora, "PUT", f"loadbalancer/{LB}/reload")
    assert in_force() == "true"
    call(amphora, "PUT", f"loadbalancer/{LB}/stop")
    assert in_force() == "false"


def test_what_an_older_number_has_begun_ends_before_a_newer_one_begins() -> None:
    fence = Fence(path=folders.folder() / "fence.json")
    fence.open()
    order: list[str] = []
    began = threading.Event()
    go_on = threading.Event()

    def old() -> None:
        with fence.passed(1):
            began.set()
            go_on.wait(30)
            order.append("old")

    def new() -> None:
        with fence.passed(2):
            order.append("new")

    threads = [threading.Thread(target=old), threading.Thread(target=new)]
    threads[0].start()
    assert began.wait(30)
    threads[1].start()
    until(lambda: fence.highest == 2, "the new number is seen")
    # The new number counts already, though its change has not begun
    with pytest.raises(OlderFence), fence.passed(1):
        order.append("too late")
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert order == ["old", "new"]
