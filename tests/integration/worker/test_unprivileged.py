"""Everything runs as an ordinary user, with no capability but the one for low ports."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.backends import HttpBackend
from tests.support.need import missing, program
from tests.support.node import Node
from tests.support.ports import free_port
from tests.support.traffic import get

NOBODY = pwd.getpwnam("nobody")
LOW_PORT = 909


def as_nobody(*capabilities: str) -> list[str]:
    """The words before a command that make it an ordinary user's, with just these capabilities."""
    if os.geteuid() != 0:
        missing("only root can become another user")
    granted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return [
        program("setpriv"),
        f"--reuid={NOBODY.pw_uid}",
        f"--regid={NOBODY.pw_gid}",
        "--clear-groups",
        f"--bounding-set={granted}",
        f"--inh-caps={granted}",
        f"--ambient-caps={granted}",
        "--no-new-privs",
        "--",
        # `setpriv` itself still has root's rights when it looks the command up.
        "env",
    ]


@pytest.fixture
def make_ordinary(make_node: Callable[..., Node]) -> Callable[..., Node]:
    """Make a node whose worker is an ordinary user's."""

    def make(*capabilities: str) -> Node:
        node = make_node(start=False, prefix=as_nobody(*capabilities))
        if node.user == "root":
            missing("the Python of these tests lives where no other user may look")
        os.chown(node.folder, NOBODY.pw_uid, NOBODY.pw_gid)
        return node.start()

    return make


def status_of(pid: int, field: str) -> str:
    found = re.search(
        rf"^{field}:[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    assert found is not None
    return found[1]


def test_a_whole_life_needs_no_right_at_all_on_a_high_port(
    make_ordinary: Callable[..., Node], a: HttpBackend, b: HttpBackend
) -> None:
    # Given a worker of an ordinary user without any capability
    node, port = make_ordinary(), free_port()
    lb = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
    # Then everything works
    assert node.update(lb).ok
    assert get(port).body == b"a"
    assert node.update({**lb, "nodes": [b.node(id=2)]}).ok
    assert get(port).body == b"b"
    for pid in (node.keeper_pid, node.master_pid, node.worker_pid):
        assert int(status_of(pid, "CapEff"), 16) == 0
    for action in ("SUSPEND", "ENABLE", "STATS", "DELETE"):
        assert node.do(action).ok


def test_a_low_port_without_the_right_is_refused_while_the_old_state_serves(
    make_ordinary: Callable[..., Node], a: HttpBackend
) -> None:
    # Given such a worker, first without anything and then serving
    node, port = make_ordinary(), free_port()
    low = {"protocol": "TCP", "port": LOW_PORT, "nodes": [a.node(id=1)]}
    assert node.update(low).error_code == "permission_denied"
    assert node.do("STATS").error_code == "no_load_balancer"
    high = {"protocol": "HTTP", "port": port, "nodes": [a.node(id=1)]}
    assert node.update(high).ok
    worker = node.worker_pid
    # When it is asked for a low port
    result = node.update(high, low)
    # Then that is refused, and HAProxy was not even asked
    assert result.error_code == "permission_denied"
    assert str(LOW_PORT) in (result.error or "")
    assert node.worker_pid == worker
    assert get(port).body == b"a"


def test_a_low_port_needs_one_capability_only(
    make_ordinary: Callable[..., Node], a: HttpBackend
) -> None:
    node = make_ordinary("net_bind_service")
    lb = {"protocol": "HTTP", "port": LOW_PORT, "nodes": [a.node(id=1)]}
    assert node.update(lb).ok
    assert get(LOW_PORT).body == b"a"
    # And a port that comes later is bound by a reload
    assert node.update({**lb, "port": LOW_PORT + 1}).ok
    assert get(LOW_PORT + 1).body == b"a"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
def test_a_worker_of_root_runs_haproxy_and_its_keeper_as_their_own_user(
    node: Node, a: HttpBackend
) -> None:
    # Given the worker of a node, as root
    if node.user == "root":
        missing("the Python of these tests lives where no other user may look")
    lb = {"protocol": "HTTP", "port": LOW_PORT, "nodes": [a.node(id=1)]}
    assert node.update(lb).ok
    assert get(LOW_PORT).body == b"a"
    # Then all that serves is an ordinary user's, with the one capability and no way to more
    uid = pwd.getpwnam(node.user).pw_uid
    for pid in (node.keeper_pid, node.master_pid, node.worker_pid):
        assert status_of(pid, "Uid").split() == [str(uid)] * 4
        assert int(status_of(pid, "CapEff"), 16) == 1 << 10
        assert int(status_of(pid, "CapBnd"), 16) == 1 << 10
        assert status_of(pid, "NoNewPrivs") == "1"
        assert status_of(pid, "Groups").strip() == ""
    # And what is stored is nobody else's to read
    for path in (node.state_dir, *node.state_dir.iterdir()):
        assert path.stat().st_mode & 0o007 == 0, path
