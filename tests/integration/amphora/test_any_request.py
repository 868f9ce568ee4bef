"""Thousands of requests made from the OpenAPI document: none breaks the agent."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from operator import methodcaller
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import folders, netns
from tests.support.amphora import AMPHORA_ID, Amphora, Authorities, Reply
from tests.support.octavia_text import BALANCER, MEMBERS, Proxy, configuration
from tests.support.ports import free_port

CASES = 5_000
PARTS = 4
DOCUMENTED_500 = ("/config",)
"""What the documents answer with 500 when the request is at fault."""


@pytest.fixture(scope="module")
def agent(authorities: Authorities) -> Iterator[Amphora]:
    netns.must_be_possible()
    with (
        netns.namespace() as node,
        Amphora(folder=folders.folder(), authorities=authorities, netns=node) as made,
    ):
        made.start()
        text = configuration(Proxy(port=free_port(), members={MEMBERS[0]: 9}, check=""))
        path = f"/1.0/loadbalancer/{AMPHORA_ID}/{BALANCER}/haproxy"
        assert made.call("PUT", path, text).status == 201
        yield made


class Caller:
    """One kept connection, opened anew when the agent has closed it."""

    def __init__(self, agent: Amphora) -> None:
        self._agent = agent
        self._context = agent.context()
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, path: str, body: bytes | None) -> Reply:
        for _ in range(2):
            if self._connection is None:
                self._connection = self._agent.connect(self._context)
            try:
                self._connection.request(method, path, body=body)
                response = self._connection.getresponse()
                reply = Reply.read(response)
            except (OSError, http.client.HTTPException):
                self._connection.close()
                self._connection = None
                continue
            if response.will_close:
                self._connection.close()
                self._connection = None
            return reply
        raise AssertionError(f"no answer to {method} {path}")


def stored(agent: Amphora) -> dict[str, tuple[int, int]]:
    """All that outlives the agent, by name: when it was written, and how much."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in agent.state_dir.rglob("*")
        if path.is_file() and path.name not in ("refused.cfg", "haproxy.cfg.new")
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_of_the_document_breaks_the_agent_and_refused_ones_change_nothing(
    agent: Amphora, part: int
) -> None:
    # Given every operation of the document that the agent itself serves
    text = json.dumps(agent.call("GET", "/openapi.json").body)
    # The tool makes bodies of kinds that it knows.
    document = json.loads(text.replace("application/x-pem-file", "text/plain"))
    schema = schemathesis.openapi.from_dict(document)
    every = list(map(methodcaller("ok"), schema.get_all_operations()))
    each = math.ceil(CASES / len(every))
    operations = every[part::PARTS]
    caller, done = Caller(agent), [0]

    def send(operation: Any) -> None:
        @settings(
            max_examples=each,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(), st.booleans(), st.binary(max_size=64))
        def one(case: Any, known: bool, noise: bytes) -> None:
            path = operation.path
            for name, value in (case.path_parameters or {}).items():
                is_ours = known and name in ("loadbalancer_id", "listener_id")
                path = path.replace(f"{{{name}}}", BALANCER if is_ours else quote(str(value), ""))
            body = _body(case.body, noise)
            before = stored(agent)

            # When it is called
            reply = caller.ask(operation.method.upper(), path, body)
            done[0] += 1

            # Then it is answered, and what was refused has changed nothing
            expected = path.endswith(DOCUMENTED_500)
            assert reply.status < 500 or (expected and reply.status == 500), (path, body, reply)
            if reply.status >= 400:
                assert isinstance(reply.body, dict), (path, reply)
                assert "message" in reply.body, (path, reply)
                assert stored(agent) == before, (path, body, reply)

        one()

    for operation in operations:
        send(operation)
    assert done[0] >= CASES / PARTS * 0.8
    assert agent.call("GET", "/info").status == 200
    assert "Traceback" not in agent.said()


def _body(body: Any, noise: bytes) -> bytes | None:
    if body is None or type(body).__name__ == "NotSet":
        return None
    if isinstance(body, bytes):
        return body + noise
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass") + noise
    return json.dumps(body).encode()
