"""Every example of the worker messages, in its own spelling, answered as it is written there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.loopback import alone

UPDATE: dict[str, Any] = {
    "hpcs_action": "UPDATE",
    "loadbalancers": [
        {
            "name": "a-new-loadbalancer",
            "protocol": "http",
            "nodes": [{"address": "10.0.0.1", "port": "80", "weight": "1"}],
        }
    ],
}
ARCHIVE: dict[str, Any] = {
    "hpcs_action": "ARCHIVE",
    "hpcs_object_store_basepath": "lbaaslogs",
    "hpcs_object_store_endpoint": "https://example.com/v1/100",
    "hpcs_object_store_token": "MY_AUTH_TOKEN",
    "hpcs_object_store_type": "swift",
    "loadbalancers": [{"id": "15", "name": "lb #1", "protocol": "HTTP"}],
}
SUSPEND, ENABLE, DELETE = ({"hpcs_action": name} for name in ("SUSPEND", "ENABLE", "DELETE"))
DISCOVER, STATS = ({"hpcs_action": name} for name in ("DISCOVER", "STATS"))

# What was sent, and what the page says the answer has, in the order in which they are sent.
EXAMPLES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (STATS, {**STATS, "hpcs_response": "FAIL"}),
    (UPDATE, {**UPDATE, "hpcs_response": "PASS", "lb_status": "ACTIVE"}),
    (STATS, {**STATS, "hpcs_response": "PASS"}),
    (SUSPEND, {**SUSPEND, "hpcs_response": "PASS", "lb_status": "SUSPENDED"}),
    (ENABLE, {**ENABLE, "hpcs_response": "PASS", "lb_status": "ACTIVE"}),
    (DISCOVER, {**DISCOVER, "version": "1.0", "hpcs_response": "PASS"}),
    (ARCHIVE, {**ARCHIVE, "hpcs_response": "FAIL"}),
    (DELETE, {**DELETE, "hpcs_response": "PASS"}),
    (STATS, {**STATS, "hpcs_response": "FAIL", "status": "DELETED"}),
]


def test_every_example_is_answered_as_the_page_says(folder: Path) -> None:
    # Given a node that has no network but its own loopback, and the examples
    messages = folder / "messages.json"
    messages.write_text(json.dumps([sent for sent, _ in EXAMPLES]))
    # When each is sent
    answers = alone("tests.support.spec_examples", str(folder / "n"), str(messages))
    # Then each answer has all that the page shows, and a reason where it failed
    for (_, wanted), answer in zip(EXAMPLES, answers, strict=True):
        assert {name: answer.get(name) for name in wanted} == wanted
        assert (answer["hpcs_response"] == "FAIL") == bool(answer.get("hpcs_error"))
