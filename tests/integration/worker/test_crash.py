"""kill -9 of the worker at every named step of a change: traffic goes on, a restart converges."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import HttpBackend
from tests.support.load import getting
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.sizes import size
from tests.support.traffic import get, refused
from tests.support.wait import until

KILLS = size(4, full=20)

AT_RUN_TIME = [
    "before_write",
    "after_text_rename",
    "during_runtime",
    "after_state_rename",
    "after_rename",
    "after_runtime",
    "after_confirm",
]

STEPS = [
    "before_write",
    "after_write",
    "after_check",
    "after_text_rename",
    "after_state_rename",
    "after_rename",
    "before_reload",
    "during_reload",
    "after_reload",
    "after_confirm",
]


def crash(node: Node, step: str, message: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Have the worker die at `step` of `message`; returns the client that still waits."""
    node.stop()
    node.start(crash_at=step)
    client = submit(node, message)
    until(node.ended, f"the worker dies at {step}", 60)
    assert node.process is not None
    assert node.process.returncode == -9
    return client


def drop(client: subprocess.Popen[bytes]) -> None:
    """End a client; gearmand forgets its job, so that nobody runs it again."""
    client.kill()
    client.wait()
    assert client.stdout is not None
    client.stdout.close()


def answer(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    said, _ = client.communicate(timeout=60)
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.parametrize(
    ("step", "by_reload"),
    [*((step, True) for step in STEPS), *((step, False) for step in AT_RUN_TIME)],
)
@pytest.mark.parametrize(
    "times", [2, pytest.param(KILLS, marks=pytest.mark.slow)], ids=["twice", f"{KILLS} times"]
)
@pytest.mark.timeout(600)
def test_a_worker_killed_in_an_update_disturbs_nobody_and_converges(
    node: Node, a: HttpBackend, b: HttpBackend, step: str, by_reload: bool, times: int
) -> None:
    # Given a load balancer under constant requests
    port = free_port()
    backends = (a, b)

    def message(round_: int) -> dict[str, Any]:
        nodes = [backends[round_ % 2].node(id=round_)]
        lb: dict[str, Any] = {"protocol": "HTTP", "port": port, "nodes": nodes}
        if by_reload:
            lb["options"] = {"client_timeout": 20_000 + round_}
        return {"hpcs_action": "UPDATE", "loadBalancers": [lb]}

    assert node.send(message(0)).ok
    served = 0
    with getting(port, {b"a", b"b"}) as client:
        for round_ in range(1, times + 1):
            # When the worker is killed at this step of the next update
            waiting = crash(node, step, message(round_))
            # Then the file passes at once, and a restart brings up the old or the new, whole
            assert node.config_passes()
            if round_ % 2:
                drop(waiting)
                node.start()
                body = get(port).body
                assert body in (
                    backends[served % 2].name.encode(),
                    backends[round_ % 2].name.encode(),
                )
                [row] = node.do("STATS").answer["nodes"]
                assert backends[row["id"] % 2].name.encode() == body
                assert row["id"] in (served, round_)
                served = row["id"]
            else:
                # Or, with a caller who still waits, gearmand runs it again and it passes
                node.start()
                assert answer(waiting)["hpcs_response"] == "PASS"
                served = round_
                assert get(port).body == backends[round_ % 2].name.encode()
            assert node.config_passes()
            until(lambda: not list(node.state_dir.glob("*.new")), "nothing stays staged")
    # And nobody noticed
    assert client.tally.failures == []
    assert client.tally.done > 0


@pytest.mark.parametrize("step", ["after_write", "after_rename", "during_start", "after_confirm"])
def test_a_worker_killed_in_the_first_update_leaves_all_or_nothing(
    node: Node, a: HttpBackend, step: str
) -> None:
    port = free_port()
    lb = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
    waiting = crash(node, step, {"hpcs_action": "UPDATE", "loadBalancers": [lb]})
    drop(waiting)
    node.start()
    # Then there is the whole load balancer or none
    if node.do("STATS").ok:
        assert get(port).body == b"a"
        assert node.config_passes()
    else:
        assert refused(port)
        assert not node.pids()
    # And the next update makes it
    assert node.update(lb).ok
    assert get(port).body == b"a"


def test_a_delete_that_was_begun_is_finished_after_a_crash(node: Node, a: HttpBackend) -> None:
    port = free_port()
    lb = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
    assert node.update(lb).ok
    get(port)
    # When the worker is killed in the middle of a DELETE
    waiting = crash(node, "after_entomb", {"hpcs_action": "DELETE"})
    # Then the next one finishes it, and the rerun answers with the totals
    node.start()
    result = answer(waiting)
    assert result["hpcs_response"] == "PASS"
    assert [total["sessions"] for total in result["totals"]] == [1]
    assert refused(port)
    assert not node.pids()
    assert not (node.state_dir / "haproxy.cfg").exists()


def test_a_worker_that_was_upgraded_brings_its_own_file_into_force(
    node: Node, a: HttpBackend
) -> None:
    # Given a node whose settings change while it is stopped, as those of a newer release would
    port = free_port()
    lb = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
    assert node.update(lb).ok
    with getting(port, {b"a"}) as client:
        node.stop()
        node.write_config(maxconn=1234)
        # When it starts again
        node.start()
        # Then the file is made anew from the state and served, and nobody noticed
        assert "maxconn 1234" in node.config_text()
        assert node.do("STATS").ok
    assert client.tally.failures == []


def test_nothing_of_a_killed_worker_is_inherited_by_its_keeper(node: Node, a: HttpBackend) -> None:
    # Given a keeper started by the worker
    lb = {"protocol": "HTTP", "port": free_port(), "nodes": [a.node(id=1)]}
    assert node.update(lb).ok
    # Then it holds none of the worker's sockets or locks
    links = [path.readlink() for path in Path(f"/proc/{node.keeper_pid}/fd").iterdir()]
    assert not [link for link in links if str(link).endswith(("owner", "libra.cfg"))]
    # And its environment is empty: nothing of it could leak into a configuration
    assert Path(f"/proc/{node.keeper_pid}/environ").read_bytes() == b""
    master = node.master_pid
    assert b"LIBRA" not in Path(f"/proc/{master}/environ").read_bytes()
