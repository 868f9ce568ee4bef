"""keepalived for real: two nodes, one shared address."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libra_amphora import vrrp_pair
from libra_amphora.conf import HealthSettings
from libra_amphora.heartbeat import Heartbeat
from libra_amphora.keepalived import Keepalived
from libra_amphora.snapshot import Snapshot
from libra_amphora.vault import Vault
from libra_amphora.vrrp_errors import (
    KeepalivedFailed,
    KeepalivedGone,
    NotConfigured,
    VrrpConfigRefused,
)
from libra_common.settings.values import HostPort
from tests.integration.worker.test_unprivileged import as_nobody
from tests.support import folders, need, netns, vrrp, wait
from tests.support.vrrp import VIP, Node, Sightings, configuration

ADVERT = 1.0  # seconds, advert_int
ALLOWED = 3 * ADVERT + 1.0
NOISE = 4.0  # what a busy test machine may add to any figure before it is called wrong


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    with vrrp.pair() as made:
        yield made


def started(nodes: tuple[Node, Node], *, script: bool = True) -> tuple[Node, Node]:
    """Both running; gives (the one with the address, the other)."""
    for node in nodes:
        node.keepalived.upload(configuration(node.number, script=script).encode())
        node.keepalived.start()
    holder = vrrp.holder(nodes)
    wait.until(lambda: holder() is not None, "one node has the address", 30)
    first = holder()
    assert first is not None
    return first, nodes[1 - first.number]


@pytest.mark.slow
def test_address_moves_when_its_holder_is_killed_and_the_old_one_drops_it(
    nodes: tuple[Node, Node],
) -> None:
    # Given a pair that serves
    old, new = started(nodes)
    with Sightings(nodes) as sightings:
        # When every keepalived of the holder is killed
        began = time.monotonic()
        old.kill()
        # Then the other has the address in time, and the old holder has dropped it
        moved = sightings.when(new, has=True, after=began)
        dropped = sightings.when(old, has=False, after=began)
        print(f"\nSIGKILL: dropped after {dropped:.2f} s, moved after {moved:.2f} s")
        assert moved < ALLOWED + NOISE
        assert dropped < 1.0 + NOISE
        # And keepalived, started again, leaves the address where it is
        wait.until(lambda: old.keepalived.running, "keepalived runs again", 30)
        wait.until(lambda: "BACKUP" in old.log(), "it stands by", 30)
        assert new.holds
        assert not old.holds
        assert len(sightings.changes) == 2


@pytest.mark.slow
def test_address_moves_when_the_holders_link_goes_down(nodes: tuple[Node, Node]) -> None:
    old, new = started(nodes)
    with Sightings(nodes) as sightings:
        began = time.monotonic()
        netns.ip("link", "set", "eth1", "down", namespace=old.namespace)
        moved = sightings.when(new, has=True, after=began)
        dropped = sightings.when(old, has=False, after=began)
    print(f"\nlink down: dropped after {dropped:.2f} s, moved after {moved:.2f} s")
    assert moved < ALLOWED + NOISE


@pytest.mark.slow
def test_address_moves_at_once_when_the_holder_is_stopped(nodes: tuple[Node, Node]) -> None:
    old, new = started(nodes)
    with Sightings(nodes) as sightings:
        began = time.monotonic()
        old.keepalived.stop()
        dropped = sightings.when(old, has=False, after=began)
        moved = sightings.when(new, has=True, after=began)
    print(f"\nstop: dropped after {dropped:.2f} s, moved after {moved:.2f} s")
    assert moved < 1.0 + NOISE
    assert not old.keepalived.running


@pytest.mark.slow
def test_address_moves_when_haproxy_does_not_serve(nodes: tuple[Node, Node]) -> None:
    # Given two nodes, each with the admin socket of a HAProxy that answers
    served = []
    for node in nodes:
        node.folder.joinpath("run").mkdir(exist_ok=True)
        path = node.folder / "admin.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(64)
        served.append((listener, _answering(listener)))
        node.keepalived.watch([path])
    old, new = started(nodes)
    # When the holder's answers no more
    served[old.number][1].append(True)
    served[old.number][0].shutdown(socket.SHUT_RDWR)
    served[old.number][0].close()
    # Then the address goes where one does
    wait.until(lambda: new.holds and not old.holds, "the address moves", 40)
    for listener, ends in served:
        ends.append(True)
        listener.close()


def _answering(listener: socket.socket) -> list[bool]:
    ends: list[bool] = []

    def answer() -> None:
        while not ends:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"Name: HAProxy\n")

    threading.Thread(target=answer, daemon=True).start()
    return ends


def test_restarted_agent_takes_over_the_keepalived_that_runs(nodes: tuple[Node, Node]) -> None:
    # Given a running keepalived
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    before = node.daemons()
    # When the agent is another one
    node.restart_agent()
    # Then it is the same keepalived, and it obeys
    assert node.keepalived.running
    assert node.daemons() == before
    node.keepalived.start()  # a running one reads its configuration again
    assert node.daemons() == before
    node.keepalived.stop()
    wait.until(lambda: not node.pids(), "nothing of it is left")


def test_next_agent_brings_its_own_check_without_a_pause(nodes: tuple[Node, Node]) -> None:
    # Given a keepalived whose check of HAProxy is where an older agent had it
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    wait.until(lambda: node.holds, "it has the address", 30)
    config = node.folder / "run" / "vrrp" / "keepalived.conf"
    present = config.read_text()
    config.write_text(present.replace("vrrp_check.py", "gone.py"))
    config.parent.chmod(0o711)
    node.keepalived.reload()
    before = node.daemons()
    # When the next agent comes
    with Sightings((node,)) as sightings:
        node.restart_agent()
        wait.until(lambda: config.read_text() == present, "the check is its own")
        wait.until(lambda: node.holds, "the address is here", 30)
    # Then the same keepalived goes on with that, and keeps the address
    assert node.daemons() == before
    assert sightings.changes == []
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700


def test_keepalived_that_died_while_there_was_no_agent_is_started_again(
    nodes: tuple[Node, Node],
) -> None:
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    node.keepalived.close()
    node.kill()
    wait.until(lambda: not node.pids(), "keepalived is gone")
    netns.ip("address", "replace", f"{VIP}/32", "dev", "eth1", namespace=node.namespace)
    node.restart_agent()
    # Then an address that it left is gone, and it runs
    assert node.keepalived.running
    assert not node.holds


def test_keepalived_killed_alone_is_started_again(nodes: tuple[Node, Node]) -> None:
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    for pid in sorted(node.pids())[:1]:
        os.kill(pid, signal.SIGKILL)
    wait.until(lambda: not node.keepalived.running, "the death is seen")
    wait.until(lambda: node.keepalived.running, "keepalived runs again")


def test_stopped_keepalived_stays_stopped(nodes: tuple[Node, Node]) -> None:
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    node.keepalived.stop()
    node.keepalived.stop()  # once more is fine
    node.restart_agent()
    assert not node.keepalived.running
    assert node.keepalived.configured
    wait.until(lambda: not node.pids(), "nothing of it is left")


def test_stop_of_one_that_is_not_there_says_which(nodes: tuple[Node, Node]) -> None:
    # Given a keepalived that should run, and died a moment ago
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    pid = min(node.pids())
    node.kill()
    wait.until(lambda: not node.keepalived.running, "the death is seen")
    # When it is stopped before it is started again
    with pytest.raises(KeepalivedGone, match=rf"keeepalived process with PID {pid} not found"):
        node.keepalived.stop()
    # Then it stays stopped
    assert not node.keepalived.running
    node.keepalived.stop()


def test_stop_right_after_a_reload_is_heard(nodes: tuple[Node, Node]) -> None:
    # keepalived's two processes lose a stop that comes while they read their file
    node = nodes[0]
    for _ in range(3):
        node.keepalived.upload(configuration(0).encode())
        node.keepalived.start()
        node.keepalived.start()
        node.keepalived.reload()
        node.keepalived.stop()
        assert "Stopped" in node.log()  # it ended by itself, and gave its addresses up


def test_start_without_configuration_is_refused(nodes: tuple[Node, Node]) -> None:
    with pytest.raises(NotConfigured):
        nodes[0].keepalived.start()
    assert not nodes[0].keepalived.configured


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        (("advert_int 1", "advert_int banana"), "banana"),
        (("interface eth1", "interface eth9"), "eth9"),
        (("virtual_router_id 1", "virtual_router_id 1000"), "1000"),
    ],
)
def test_configuration_that_keepalived_refuses_leaves_the_present_one(
    nodes: tuple[Node, Node], spoilt: tuple[str, str], complaint: str
) -> None:
    # Given a running keepalived
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    files = {path: path.read_bytes() for path in (node.folder / "run" / "vrrp").glob("*.conf")}
    # When a configuration is sent that it would not take
    with pytest.raises(VrrpConfigRefused, match=complaint):
        node.keepalived.upload(configuration(0).replace(*spoilt).encode())
    # Then nothing has changed
    assert files == {
        path: path.read_bytes() for path in (node.folder / "run" / "vrrp").glob("*.conf")
    }
    assert node.keepalived.running


def test_secret_is_for_the_owners_eyes_only_and_in_no_log(
    nodes: tuple[Node, Node], caplog: pytest.LogCaptureFixture
) -> None:
    node = nodes[0]
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    with pytest.raises(VrrpConfigRefused):
        node.keepalived.upload(configuration(0).replace("advert_int 1", "advert_int x").encode())
    holding = []
    for path in node.folder.rglob("*"):
        if path.is_file() and vrrp.SECRET.encode() in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            holding.append(path.name)
    assert sorted(holding) == ["keepalived.conf", "uploaded.conf"]
    assert vrrp.SECRET not in caplog.text
    assert not any("candidate" in name for name in holding)


def test_configuration_survives_a_reboot_only_encrypted(nodes: tuple[Node, Node]) -> None:
    # Given a node with a key, and keepalived running
    node = nodes[0]
    key = node.folder / "node.key"
    key.write_bytes(secrets.token_bytes(32))
    node.keepalived.close()
    node.keepalived = vrrp.make_keepalived(node.network, node.folder, key=key)
    node.keepalived.open()
    node.keepalived.upload(configuration(0).encode())
    node.keepalived.start()
    node.keepalived.close()
    # When the machine starts anew: no process, nothing in memory
    node.kill()
    wait.until(lambda: not node.pids(), "keepalived is gone")
    for path in (node.folder / "run" / "vrrp").iterdir():
        path.unlink()
    on_disk = [path for path in (node.folder / "state").rglob("*") if path.is_file()]
    assert not any(vrrp.SECRET.encode() in path.read_bytes() for path in on_disk)
    # Then the node has it again with its key, and without the key says that it does not run
    keyless = vrrp.make_keepalived(node.network, node.folder)
    keyless.open()
    assert keyless.configured
    assert not keyless.running
    keyless.close()
    node.keepalived = vrrp.make_keepalived(node.network, node.folder, key=key)
    node.keepalived.open()
    assert node.keepalived.running


def test_missing_program_is_said(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    node = nodes[0]
    keepalived = Keepalived(
        program=tmp_path / "keepalived",
        namespace=node.network.namespace,
        run_dir=tmp_path / "run",
        state_dir=tmp_path / "state",
        script_user=("nobody", "nogroup"),
        vault=Vault(directory=tmp_path / "vault", key_file=None),
        drop_addresses=node.network.drop_vips,
    )
    keepalived.open()
    with pytest.raises(KeepalivedFailed, match=r"cannot run .*No such file"):
        keepalived.upload(configuration(0).encode())
    assert not keepalived.configured
    keepalived.close()


@pytest.mark.slow
def test_pair_made_from_a_topology_shares_its_address(nodes: tuple[Node, Node]) -> None:
    # Given two nodes that know each other's secret and address, and nothing else
    home = nodes[0].network.plugged.plugs[0].vips[0]
    for node, role in zip(nodes, ("ACTIVE", "STANDBY"), strict=True):
        pair = vrrp_pair.Pair(role=role, ha_ip=home.address, secret=vrrp.SECRET)
        text = vrrp_pair.render(
            pair, interface=node.network.interface_towards(home.address), home=home
        )
        node.keepalived.upload(text.encode())
        node.keepalived.start()
    # Then one has it; when that one is told to stand alone, the other has it
    holder = vrrp.holder(nodes)
    wait.until(lambda: holder() is nodes[0], "the active one has the address", 30)
    nodes[0].keepalived.forget()
    wait.until(lambda: holder() is nodes[1], "the standby has the address", 30)
    assert not nodes[0].keepalived.configured


def test_no_heartbeat_is_sent_while_keepalived_is_configured_and_dead(
    nodes: tuple[Node, Node],
) -> None:
    # Given a controller that listens, and a node's keepalived that runs
    node = nodes[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller:
        controller.bind(("127.0.0.1", 0))
        where = HostPort("127.0.0.1", controller.getsockname()[1])
        heartbeat = Heartbeat(
            amphora_id="6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce",
            settings=lambda: HealthSettings(
                controller_ip_port_list=(where,), heartbeat_interval=10, heartbeat_key="k"
            ),
            snapshot=Snapshot,
            fit=lambda: node.keepalived.running or not node.keepalived.configured,
        )
        assert heartbeat.beat() == where  # nothing is configured: the node stands alone
        node.keepalived.upload(configuration(0).encode())
        assert heartbeat.beat() is None  # configured, and not started
        node.keepalived.start()
        assert heartbeat.beat() == where
        # When it dies
        node.kill()
        wait.until(lambda: not node.keepalived.running, "the death is seen")
        # Then the controller hears nothing more, until it runs again
        assert heartbeat.beat() is None
        wait.until(lambda: node.keepalived.running, "keepalived runs again")
        assert heartbeat.beat() == where


_AS_ORDINARY_USER = """
import sys, time
from pathlib import Path
from libra_amphora.network import Network
from tests.support import vrrp
folder = Path(sys.argv[2])
network = Network(netns=sys.argv[1], state_dir=folder / "state")
network.restore()
keepalived = vrrp.make_keepalived(network, folder)
keepalived.open()
keepalived.upload(vrrp.configuration(0).encode())
keepalived.start()
until = time.monotonic() + 30
while not network.holds(vrrp.ADDRESS) and time.monotonic() < until:
    time.sleep(0.1)
print(keepalived.running, network.holds(vrrp.ADDRESS))
keepalived.stop()
keepalived.close()
print(keepalived.running, network.holds(vrrp.ADDRESS))
"""


@pytest.mark.slow
def test_ordinary_user_with_four_capabilities_can_run_keepalived(
    nodes: tuple[Node, Node],
) -> None:
    # Given an ordinary user who may administer and tap networks and enter namespaces
    folder = folders.folder()
    os.chown(folder, 65534, 65534)
    rights = ("net_admin", "net_raw", "net_broadcast", "sys_admin")
    command = [*as_nobody(*rights), sys.executable, "-c"]
    if subprocess.run([*command, ""], check=False, capture_output=True).returncode:
        need.missing("the Python of these tests lives where no other user may look")
    # When that user's agent runs keepalived
    done = subprocess.run(
        [*command, _AS_ORDINARY_USER, nodes[0].namespace, str(folder)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    # Then it takes the address, with its check of HAProxy, and gives it up again
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "False", "False"]
