"""Load balancers over HTTP, and what a node has kept of them."""

from __future__ import annotations

from typing import Any

from tests.support.node import Node


def http(port: int, *nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "port": port, "nodes": list(nodes), **fields}


def history(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.do("HISTORY").answer["history"]
    return found


def numbers(node: Node) -> list[int]:
    return [entry["entry"] for entry in history(node)]


def rollback(node: Node, entry: int, **more: Any) -> Any:
    return node.send({"hpcs_action": "ROLLBACK", "entry": entry, **more})
