from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from hypothesis import given

from libra_haproxy import render as rendering
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from libra_haproxy.numbering import assign
from libra_haproxy.render import Place, render
from libra_haproxy.tokens import BadToken
from tests.unit.haproxy.models import MODELS

PLACE = Place(
    bind=("127.0.0.1",),
    admin_socket=Path("/run/libra/admin.sock"),
    maxconn=1000,
    certificates=Path("/var/lib/libra/certificates"),
)


def numbered(model: Model) -> Model:
    return assign(model, previous=None, next_numbers={})[0]


def one(**fields: object) -> Model:
    server = Server(address="192.0.2.1", port=80, node_id="1", number=1)
    lb = LoadBalancer(protocol=Protocol.HTTP, port=80, servers=(server,))
    return Model(load_balancers=(replace(lb, **fields),))  # type: ignore[arg-type]


@given(MODELS)
def test_the_same_model_gives_the_same_text_and_digest(model: Model) -> None:
    model = numbered(model)
    assert render(model, suspended=False, place=PLACE) == render(
        model, suspended=False, place=PLACE
    )


@given(MODELS)
def test_the_number_of_lines_depends_on_the_structure_alone(model: Model) -> None:
    # Given any model
    model = numbered(model)
    lines = render(model, suspended=False, place=PLACE).text.splitlines()
    # Then there is a line for each server, a section for each half, and nothing that a value made
    servers = sum(len(lb.servers) for lb in model.load_balancers)
    assert sum(line.startswith("    server ") for line in lines) == servers
    sections = [line.split()[0] for line in lines if line and line[0] not in " #"]
    halves = ["frontend", "backend"] * len(model.load_balancers)
    by_source = any(lb.sticky and lb.protocol is Protocol.TCP for lb in model.load_balancers)
    assert sections == ["global", "defaults", *(["peers"] if by_source else []), *halves]


@given(MODELS)
def test_the_digest_in_the_text_is_that_of_the_text(model: Model) -> None:
    rendered = render(numbered(model), suspended=True, place=PLACE)
    found = re.findall(r"set-var proc\.libra str\(([0-9a-f]+)\)", rendered.text)
    assert found == [rendered.digest]


def test_different_texts_have_different_digests() -> None:
    digests = {
        render(one(port=port), suspended=suspended, place=PLACE).digest
        for port in (80, 81)
        for suspended in (False, True)
    }
    assert len(digests) == 4


def test_a_label_never_reaches_the_file() -> None:
    assert (
        "secret-label" not in render(one(label="secret-label"), suspended=False, place=PLACE).text
    )


def test_a_suspended_model_has_every_section_disabled() -> None:
    lines = render(one(), suspended=True, place=PLACE).text.splitlines()
    assert lines.count("    disabled") == 2


@pytest.mark.parametrize(
    "server",
    [
        Server(address="host.example", port=80, node_id="1", number=1),
        Server(address="192.0.2.1", port=0, node_id="1", number=1),
        Server(address="192.0.2.1", port=80, node_id="1\n", number=1),
        Server(address="192.0.2.1", port=80, node_id="1", number=0),
        Server(address="192.0.2.1", port=80, node_id="1", number=1, weight=257),
    ],
)
def test_a_value_that_was_not_checked_is_a_programming_error(server: Server) -> None:
    with pytest.raises(BadToken):
        render(one(servers=(server,)), suspended=False, place=PLACE)


def test_a_template_cannot_write_what_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a template that writes a plain string
    text = "{{ 'raw' ~ suspended }}"
    loader = jinja2.DictLoader({"haproxy.cfg.j2": text})
    monkeypatch.setattr(jinja2, "PackageLoader", lambda _: loader)
    rendering._template.cache_clear()
    # Then rendering it raises
    try:
        with pytest.raises(TypeError, match="not a token"):
            render(one(), suspended=False, place=PLACE)
    finally:
        rendering._template.cache_clear()
