"""What a controller is told of UDP and SCTP listeners where the kernel has no IP_VS."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from libra_amphora import lvs_forward
from libra_amphora.api.udp import UdpApi
from libra_amphora.ip_vs import IpVs
from libra_amphora.lvs import LvsListeners
from libra_amphora.namespace import Namespace
from libra_amphora.plugged import IPAddress
from tests.support import need, netns
from tests.support.agent_calls import call
from tests.support.lvs_text import LISTENER, Lvs

TABLE = lvs_forward.table_of(Path("/x"))
PATH = f"/1.0/listeners/6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce/{LISTENER}/udp_listener"


def listeners(folder: Path, namespace: str = "") -> LvsListeners:
    return LvsListeners(
        program=Path(need.program("keepalived")),
        namespace=Namespace(namespace),
        run_dir=folder / "run",
        state_dir=folder / "state",
        script_user=("nobody", "nogroup"),
    )


def test_listener_is_refused_with_the_reason_and_nothing_is_kept(tmp_path: Path) -> None:
    if IpVs(Namespace("")).why_not() is None:
        pytest.skip("this kernel has IP_VS")
    made = listeners(tmp_path)
    made.open()
    routes = list(UdpApi(listeners=made, prepare=lambda: None, announce=lambda: None).routes())
    status, body = call(routes, "PUT", PATH, Lvs(members={"a": "198.18.0.1"}).text().encode())
    assert (status, body["message"]) == (
        400,
        "UDP and SCTP listeners are not possible on this node",
    )
    assert body["details"].startswith("the kernel has no IP_VS: ")
    assert call(routes, "GET", f"/1.0/listeners/{LISTENER}/udp_listener")[0] == 404
    assert not list(tmp_path.rglob("*"))
    assert made.snapshot().listeners == ()


def test_kernel_takes_the_rules_for_answers() -> None:
    # Given a namespace; the rest of `put` needs IP_VS
    netns.must_be_possible()
    need.program("nft")
    with netns.namespace() as space:
        addresses: list[IPAddress] = [
            ipaddress.ip_address("203.0.113.2"),
            ipaddress.ip_address("fd00:18::2"),
        ]
        Namespace(space).run(lambda: lvs_forward.masquerade(TABLE, addresses))
        said = netns.inside(space, "nft", "list", "table", "inet", TABLE)
        assert "ct original ip daddr 203.0.113.2 meta l4proto { 17, 132 } masquerade" in (
            said.replace("udp", "17").replace("sctp", "132")
        )
        # When there is nothing to pass on any more
        Namespace(space).run(lambda: lvs_forward.masquerade(TABLE, []))
        said = netns.inside(space, "nft", "list", "table", "inet", TABLE)
        assert "masquerade" not in said
