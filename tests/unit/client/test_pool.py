"""What the client makes of the pool manager's answers."""

from __future__ import annotations

import json
from typing import Any

from libra_client.client import read_answer


def read(**answer: Any) -> Any:
    return read_answer(json.dumps(answer).encode(), response_field="response", elapsed=0)


def test_a_failure_is_read_from_the_pool_managers_own_fields() -> None:
    result = read(action="BUILD_DEVICE", response="FAIL", error="no room", error_code="capacity")
    assert (result.ok, result.error, result.error_code) == (False, "no room", "capacity")


def test_an_answer_of_a_node_is_no_success_of_the_pool_manager() -> None:
    result = read(hpcs_response="PASS")
    assert (result.ok, result.error) == (False, "the answer has no response")


def test_pass_is_a_success() -> None:
    assert read(action="BUILD_IP", response="PASS", ip="203.0.113.1").ok
