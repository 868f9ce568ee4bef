"""The OpenAPI document: of all routes, and the one that is kept is the present one."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from libra_amphora import openapi
from libra_amphora.api.base import PARAMETERS, parameters

KEPT = Path(__file__).parents[3] / "docs" / "amphora-openapi.json"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert openapi.main() == 0
    document: dict[str, Any] = json.loads(said.getvalue())
    return document


def test_document_that_is_kept_is_the_present_one(made: dict[str, Any]) -> None:
    """`python -m libra_amphora.openapi > docs/amphora-openapi.json` makes it anew."""
    assert json.loads(KEPT.read_text()) == made


def test_every_route_is_described_and_every_parameter_is_checked(made: dict[str, Any]) -> None:
    for path, operations in made["paths"].items():
        assert set(parameters(path)) <= set(PARAMETERS)
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert any(code.startswith(("2", "4")) for code in operation["responses"])
            names = [parameter["name"] for parameter in operation["parameters"]]
            assert names == parameters(path)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    text = json.dumps(made)
    for part in text.split('"$ref": "')[1:]:
        where: Any = made
        for word in part.split('"')[0].removeprefix("#/").split("/"):
            where = where[word]
        assert where


@pytest.mark.parametrize("prefix", ["/1.0", "/v0.1"])
def test_both_documents_routes_are_all_there(made: dict[str, Any], prefix: str) -> None:
    above = f"{prefix}/loadbalancer" if prefix == "/1.0" else f"{prefix}/listeners"
    id_ = "{loadbalancer_id}" if prefix == "/1.0" else "{listener_id}"
    wanted = {
        "/info": "get",
        f"{prefix}/details": "get",
        f"{prefix}/topology": "get post",
        f"{prefix}/interface/{{ip}}": "get",
        f"{prefix}/listeners": "get",
        f"{prefix}/listeners/{{listener_id}}": "get delete",
        f"{above}/{id_}/{{action}}": "put",
        f"{above}/{id_}/certificates/{{filename}}": "put get delete",
        f"{above}/{{amphora_id}}/{id_}/haproxy": "put",
        f"{above}/{id_}/haproxy": "get",
        f"{prefix}/plug/vip/{{ip}}": "post",
        f"{prefix}/plug/network": "post",
        f"{prefix}/certificate": "put",
        f"{prefix}/vrrp/upload": "put",
        f"{prefix}/vrrp/{{action}}": "put",
        f"{prefix}/config": "put",
    }
    for path, methods in wanted.items():
        assert set(methods.split()) <= set(made["paths"][path]), path
