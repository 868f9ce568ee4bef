"""A keeper that is on its way out does not keep HAProxy from being started again."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from libra_haproxy.keeper import LOCK_NAME
from libra_haproxy.model import LoadBalancer, Model, Protocol, Server
from tests.support.backends import HttpBackend
from tests.support.engine import Engine
from tests.support.ports import free_port
from tests.support.traffic import get


def test_a_keeper_that_answers_no_more_and_still_has_its_lock_is_waited_for(folder: Path) -> None:
    # Given a load balancer that was stopped
    port = free_port()
    with HttpBackend("a") as a, Engine(folder) as engine:
        server = Server(address=a.host, port=a.port, node_id=1)
        lb = LoadBalancer(protocol=Protocol.HTTP, port=port, servers=(server,))
        engine.instance.apply(Model(load_balancers=(lb,)))
        engine.instance.close()
        engine.node.stop_haproxy()
        # When the lock of its keeper is still held for a moment
        with (engine.node.run_dir / LOCK_NAME).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            dying = threading.Timer(0.5, fcntl.flock, (lock, fcntl.LOCK_UN))
            dying.start()
            # Then it is served again all the same
            engine.reopen()
            dying.join()
        assert get(port).body == b"a"
