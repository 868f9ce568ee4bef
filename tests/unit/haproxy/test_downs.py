from __future__ import annotations

import stat
from pathlib import Path

import pytest

from libra_haproxy.downs import Downs, down_rows, of_model
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server

HEADER = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    " srv_port srv_check_health"
)


def row(name: str, address: str = "192.0.2.1", state: int = 0, admin: int = 0) -> str:
    return f"3 http-servers 1 {name} {address} {state} {admin} 7 1 80 0"


def states(*rows: str) -> str:
    return "\n".join(["1", HEADER, *rows, "", ""])


def wanted(*servers: Server) -> Model:
    return Model(load_balancers=(LoadBalancer(protocol=Protocol.HTTP, port=80, servers=servers),))


A = Server(address="192.0.2.1", port=80, node_id=1, number=1, weight=5)


def test_a_server_that_is_down_is_told_with_the_weight_that_is_wanted_now() -> None:
    expected = "3 http-servers 1 id-1 192.0.2.1 0 0 5 5 80 0"
    assert down_rows(states(row("id-1")), of_model(wanted(A))) == f"1\n{HEADER}\n{expected}\n"


@pytest.mark.parametrize(
    "line",
    [
        row("id-1", state=2),
        row("id-1", address="192.0.2.9"),
        row("id-1", admin=1),
        row("id-2"),
        "",
    ],
    ids=["up", "moved", "maintenance", "gone", "none"],
)
def test_nothing_else_is_told(line: str) -> None:
    assert down_rows(states(line), of_model(wanted(A))) == "1\n"


def test_one_that_is_wanted_disabled_is_not_told() -> None:
    disabled = Server(address="192.0.2.1", port=80, node_id=1, number=1, enabled=False)
    assert down_rows(states(row("id-1")), of_model(wanted(disabled))) == "1\n"


def test_the_file_is_there_for_haproxys_user_until_it_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "down.servers"
    downs = Downs(path)
    downs.write(states(row("id-1")), of_model(wanted(A)))
    assert "id-1" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    downs.clear()
    assert path.read_text() == "1\n"


def test_a_link_in_its_place_is_never_written_through(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "down.servers"
    victim.write_text("untouched")
    path.symlink_to(victim)
    Downs(path).write(states(row("id-1")), of_model(wanted(A)))
    assert victim.read_text() == "untouched"
