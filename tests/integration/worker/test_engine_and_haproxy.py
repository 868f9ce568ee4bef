"""What the engine writes and what HAProxy makes of it are the same thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from libra_haproxy.check import check
from libra_haproxy.errors import ConfigRefused
from libra_haproxy.model import Model
from libra_haproxy.numbering import assign
from libra_haproxy.render import Place, render
from tests.support.backends import HttpBackend
from tests.support.certificates import bundle
from tests.support.need import program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.wait import until
from tests.unit.haproxy.models import CERTIFICATES, MODELS, PATHS


@pytest.fixture(scope="module")
def pem() -> str:
    return bundle("libra.example").pem


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(MODELS)
def test_whatever_may_be_asked_for_haproxy_accepts(tmp_path: Path, pem: str, model: Model) -> None:
    model, _ = assign(model, previous=None, next_numbers={})
    place = Place(
        bind=("127.0.0.1", "::1"),
        admin_socket=tmp_path / "s",
        maxconn=1000,
        certificates=tmp_path,
    )
    for certificate in CERTIFICATES:
        (tmp_path / f"{certificate.name}.pem").write_text(pem)
    for suspended in (False, True):
        file = tmp_path / "haproxy.cfg"
        file.write_text(render(model, suspended=suspended, place=place).text)
        check(haproxy=Path(program("haproxy")), config=file, seconds=60)


def test_a_refusal_holds_haproxys_own_words(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text("frontend x\n    nonsense\n")
    with pytest.raises(ConfigRefused, match="unknown keyword 'nonsense'"):
        check(haproxy=Path(program("haproxy")), config=file, seconds=60)


@settings(
    max_examples=5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(path=PATHS)
def test_a_monitors_path_arrives_at_the_node_byte_for_byte(
    make_node: Callable[..., Node], path: str
) -> None:
    # Given a node that is asked for any legal path
    seen: list[str] = []
    with HttpBackend("a") as backend:
        backend.on_path = seen.append
        node = make_node()
        lb = {
            "protocol": "HTTP",
            "port": free_port(),
            "nodes": [backend.node()],
            "monitor": {"type": "HTTP", "delay": 1, "timeout": 1, "attempts": 1, "path": path},
        }
        assert node.update(lb).ok
        # Then it is asked for this very path
        until(lambda: seen, "the node is checked")
        assert seen[0] == path
        node.close()
