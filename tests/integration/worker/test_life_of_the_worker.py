"""The worker as init scripts and operators know it: stopped, reloaded, under pressure."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trustme

from libra_common.exits import Exit
from tests.support.archives import local
from tests.support.backends import HttpBackend
from tests.support.gearmand import Gearmand
from tests.support.node import Node, submit
from tests.support.ports import free_port
from tests.support.tlsfront import TlsFront
from tests.support.traffic import get
from tests.support.wait import until
from tests.support.worker_command import edit, in_thread, lb, run, slots, slow_haproxy


def by_reload(port: int, node: dict[str, object], timeout: int) -> dict[str, object]:
    """A load balancer whose `timeout` no running process can take over."""
    return {**lb(port, node), "options": {"client_timeout": timeout}}


# -- stopping ------------------------------------------------------------------------------


def test_a_stop_delivers_the_answer_of_the_running_update(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given an UPDATE that takes two seconds
    node, port = make_node(haproxy=slow_haproxy(folder, 2)), free_port()
    (folder / "slow").touch()
    thread, results = in_thread(lambda: node.update(lb(port, a.node())))
    until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "the update is under way")
    # When the worker is stopped
    assert node.stop() == Exit.OK
    # Then the answer came, and the load balancer goes on without the worker
    thread.join(30)
    assert results[0].ok
    assert get(port).body == b"a"


def test_a_second_signal_leaves_at_once_and_the_rerun_is_harmless(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    node, port = make_node(haproxy=slow_haproxy(folder, 4)), free_port()
    (folder / "slow").touch()
    thread, results = in_thread(lambda: node.update(lb(port, a.node())))
    until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "the update is under way")
    # When it is told twice
    assert node.process is not None
    node.process.terminate()
    time.sleep(0.3)
    node.process.terminate()
    assert node.process.wait(30) == Exit.HURRIED  # not the end of the job
    # Then gearmand gives the job to the next one, and it passes
    (folder / "slow").unlink()
    node.start()
    thread.join(60)
    assert results[0].ok
    assert get(port).body == b"a"


# -- reloading -----------------------------------------------------------------------------


def test_gearadmin_shows_a_nodes_slots_by_name(node: Node, gearmand: Gearmand) -> None:
    wanted = {f"{node.name}/{slot}" for slot in range(1, 5)}
    until(lambda: slots(gearmand, node) == wanted, "four slots, each with its name")


def hang_up(node: Node) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)


def test_a_reload_takes_new_settings_without_dropping_a_job(
    make_node: Callable[..., Node], gearmand: Gearmand, folder: Path, a: HttpBackend
) -> None:
    # Given a worker with a slow UPDATE under way
    node, port = make_node(haproxy=slow_haproxy(folder, 2)), free_port()
    (folder / "slow").touch()
    thread, results = in_thread(lambda: node.update(lb(port, a.node())))
    until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "the update is under way")
    # When its settings change and it is told
    edit(node, "[worker]", "[worker]\nslots = 7")
    edit(node, "log_level = debug", "log_level = info")
    edit(node, "[worker:haproxy]", "[worker:haproxy]\nmax_nodes = 1\nmaxconn = 500")
    hang_up(node)
    # Then the new ones serve, what cannot change is named, and the old job was answered
    until(lambda: len(slots(gearmand, node)) == 7, "seven slots, and the old ones gone", 30)
    thread.join(30)
    assert results[0].ok
    assert "[worker:haproxy] maxconn has changed: it takes effect at the next start" in node.said()
    result = node.update(lb(port, a.node(id=1), {"address": "127.0.0.9", "port": 1}))
    assert result.error_code == "malformed_message"
    assert node.do("DISCOVER").answer["limits"]["max_nodes"] == 1


def test_a_reload_with_a_fault_keeps_the_old_settings(node: Node, gearmand: Gearmand) -> None:
    # Given a worker whose file is then spoilt
    edit(node, "[worker]", "[worker]\nslots = many")
    hang_up(node)
    # Then it says so by name, and goes on as before
    until(lambda: "the old settings stay in force" in node.said(), "it is refused")
    assert "slots = 'many'" in node.said()
    assert node.do("DISCOVER").ok
    assert len(slots(gearmand, node)) == 4


def test_a_reload_takes_new_certificates_and_keeps_the_old_ones_on_any_fault(
    make_node: Callable[..., Node], gearmand: Gearmand, folder: Path
) -> None:
    # Given a worker that speaks TLS to gearmand, with a certificate of its own
    authority, stranger = trustme.CA(), trustme.CA()
    files = {name: folder / f"{name}.pem" for name in ("ca", "server", "key", "cert")}
    authority.cert_pem.write_to_path(str(files["ca"]))
    server = authority.issue_cert("127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(str(files["server"]))

    def issue(by: trustme.CA) -> None:
        leaf = by.issue_cert("node.example")
        leaf.private_key_pem.write_to_path(str(files["key"]))
        leaf.cert_chain_pems[0].write_to_path(str(files["cert"]))

    issue(authority)
    with TlsFront(
        folder=folder, target=gearmand.port, pem=files["server"], ca=files["ca"], tls="TLSv1.3"
    ) as front:
        node = make_node(start=False)
        edit(node, f"servers = {gearmand.address}", f"servers = 127.0.0.1:{front.port}\n" + "".join(
            f"ssl_{name} = {files[name]}\n" for name in ("key", "cert", "ca")
        ))  # fmt: skip
        node.start()
        assert node.do("DISCOVER").ok
        # When the certificate is replaced by half of one
        files["cert"].write_text(files["cert"].read_text()[:100])
        hang_up(node)
        # Then that is refused, and the old one serves
        until(lambda: "the old settings stay in force" in node.said(), "it is refused")
        assert node.do("DISCOVER").ok
        # And a good one is taken over
        issue(authority)
        hang_up(node)
        until(lambda: node.said().count("] reloaded") or "reloaded\n" in node.said(), "it is taken")
        until(lambda: node.do("DISCOVER").ok, "it serves with the new one")
        # And one of a stranger's gets no further than the door
        issue(stranger)
        hang_up(node)
        until(lambda: not slots(gearmand, node), "it is not let in", 30)


@pytest.mark.parametrize("missing", ["ssl_key", "ssl_cert", "ssl_ca"])
def test_tls_with_a_part_missing_is_no_start_and_never_plain_text(
    make_node: Callable[..., Node], gearmand: Gearmand, folder: Path, missing: str
) -> None:
    # Given settings that name two of the three files
    node = make_node(start=False)
    lines = "".join(
        f"{name} = {folder}/x\n" for name in ("ssl_key", "ssl_cert", "ssl_ca") if name != missing
    )
    edit(node, "[gearman]\n", f"[gearman]\n{lines}")
    # When it is started
    done = run(node)
    # Then it does not start, and says what is missing
    assert done.returncode == Exit.CONFIG
    assert missing in done.stderr
    assert not slots(gearmand, node)


# -- under pressure --------------------------------------------------------------------------


def test_reads_are_answered_while_changes_hang_and_wait(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given an UPDATE that hangs in HAProxy's check, and four more that wait for it
    node, port = make_node(haproxy=slow_haproxy(folder, 60)), free_port()
    assert node.update(lb(port, a.node())).ok
    (folder / "slow").touch()
    changes = [
        in_thread(partial(node.update, by_reload(port, a.node(), timeout)))
        for timeout in range(1_000, 6_000, 1_000)
    ]
    until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "one hangs")
    # When two hundred STATS come one after the other
    took = sorted(node.do("STATS").elapsed for _ in range(200))
    # Then they are answered meanwhile (the figure is for the reader; machines differ)
    print(f"STATS beside hanging changes: median {took[100]:.4f} s, p99 {took[198]:.4f} s")
    assert any(thread.is_alive() for thread, _ in changes)
    for thread, results in changes:
        thread.join(90)
        assert results[0].error_code == "haproxy_timeout"
    (folder / "slow").unlink()
    assert node.update(lb(port, a.node(weight=9))).ok


def test_archives_to_a_store_that_hangs_keep_nobody_waiting(
    make_node: Callable[..., Node], folder: Path, a: HttpBackend
) -> None:
    # Given a store that accepts connections and says nothing, four ARCHIVEs, and a hung UPDATE
    archive = {
        "hpcs_action": "ARCHIVE",
        "hpcs_object_store_type": "swift",
        "hpcs_object_store_basepath": "b",
        "hpcs_object_store_endpoint": "",
        "hpcs_object_store_token": "t",
        "loadbalancers": [{"protocol": "HTTP"}],
    }
    with socket.create_server(("127.0.0.1", 0), backlog=16) as store:
        node = make_node(haproxy=slow_haproxy(folder, 60), archive={"timeout": 600})
        port = free_port()
        assert node.update(lb(port, a.node())).ok
        assert get(port).body == b"a"
        until(lambda: local(node), "there is something to archive")
        archive["hpcs_object_store_endpoint"] = f"http://127.0.0.1:{store.getsockname()[1]}/v1/100"
        archives = [submit(node, archive) for _ in range(4)]
        # One of them speaks to the store, the others wait for the same lines.
        taken = store.accept()[0]
        (folder / "slow").touch()
        change, results = in_thread(partial(node.update, by_reload(port, a.node(), 1_000)))
        until(lambda: (node.state_dir / "haproxy.cfg.new").exists(), "the update hangs")
        # When two hundred STATS come one after the other
        took = sorted(node.do("STATS").elapsed for _ in range(200))
        # Then all are answered meanwhile (the figure is for the reader; machines differ)
        print(f"STATS beside hung archives: median {took[100]:.4f} s, p99 {took[198]:.4f} s")
        assert change.is_alive()
        assert all(client.poll() is None for client in archives)
        change.join(90)
        assert results[0].error_code == "haproxy_timeout"
        taken.close()
        store.close()
        assert all(client.wait(30) == 0 for client in archives)
