from __future__ import annotations

from dataclasses import replace

from libra_common.settings import load
from libra_common.settings.differing import differing
from libra_gate.daemon import only_at_start as of_gate
from libra_octavia.daemon import only_at_start as of_octavia
from libra_pool_mgm.main import only_at_start as of_pool
from libra_worker.main import only_at_start as of_worker


def test_what_differs_is_named_as_it_stands_in_the_file_and_nothing_else() -> None:
    old = load([], prog="libra")
    mgm = replace(old.mgm, pid=old.mgm.pid / "x", sweep_interval=old.mgm.sweep_interval + 1)
    assert differing("mgm", old.mgm, mgm, ("pid", "stop_timeout")) == ["[mgm] pid"]
    assert differing("mgm", old.mgm, old.mgm, ("pid", "stop_timeout")) == []


def test_each_daemon_names_what_it_cannot_take_over_while_it_runs() -> None:
    old = load([], prog="libra")
    new = replace(
        old,
        default=replace(old.default, daemon=not old.default.daemon),
        worker=replace(old.worker, pid=old.worker.pid / "x"),
        haproxy=replace(old.haproxy, max_nodes=old.haproxy.max_nodes + 1, user="other"),
        mgm=replace(old.mgm, stop_timeout=old.mgm.stop_timeout + 1),
        gate=replace(old.gate, pid=old.gate.pid / "x"),
        octavia=replace(old.octavia, slots=old.octavia.slots + 1),
    )
    assert of_worker(old, new) == ["[worker] pid", "[DEFAULT] daemon", "[worker:haproxy] user"]
    assert of_pool(old, new) == ["[mgm] stop_timeout", "[DEFAULT] daemon"]
    assert of_gate(old, new) == ["[gate] pid", "[DEFAULT] daemon"]
    assert of_octavia(old, new) == ["[octavia] slots", "[DEFAULT] daemon"]
    for of in (of_worker, of_pool, of_gate, of_octavia):
        assert of(old, old) == []
