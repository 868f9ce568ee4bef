"""A node's agent, from its settings to its end."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from libra_amphora.conf import PROG, AmphoraSettings, load
from libra_amphora.node import Node
from libra_common.daemon import Daemon, Readiness
from libra_common.entry import live

LOG = logging.getLogger(__name__)


class AmphoraDaemon(Daemon):
    """Serves the stored state first, then the API; HAProxy and keepalived outlive it.

    `reread` gives the settings anew at SIGHUP.
    """

    def __init__(self, *, settings: AmphoraSettings, reread: Callable[[], AmphoraSettings]) -> None:
        super().__init__(
            name=PROG,
            settings=settings.default,
            pid_file=settings.own.pid,
            stop_timeout=settings.own.stop_timeout,
            health=settings.own.health,
        )
        self._in_force = settings
        self._reread = reread
        self._node: Node | None = None
        self._served = False

    def start(self) -> None:
        """Bring the stored state into force, and only then be found."""
        self._node = Node(self._in_force)
        self._node.open()
        # What a start makes stays: looking it through for garbage would hold requests up.
        gc.freeze()
        gc.enable()
        self._served = True
        LOG.info("the API is served on port %s", self._node.port)

    def cycle(self) -> None:
        """See after what runs."""
        if self._node is not None:
            self._node.look()

    def reload(self) -> None:
        """Read settings and certificate again; of the settings only what may change is taken."""
        new = self._reread()
        if self._node is None:
            raise RuntimeError("reloaded before it was started")
        self._node.take(new)
        self.use_default_settings(new.default)
        if new != self._in_force.with_mutable(new):
            LOG.warning("settings have changed that take effect at the next start")
        self._in_force = new

    def shutdown(self, *, fast: bool) -> None:
        """Answer what is asked now and go; traffic goes on."""
        if self._node is not None and not fast:
            self._node.close(self.stop_timeout / 2)

    def certificates(self) -> Iterable[Path | None]:
        """Our own."""
        return (self._in_force.agent.agent_server_cert,)

    def readiness(self) -> Readiness:
        """Ready once the API is served, which is after the stored state is."""
        return Readiness.READY if self._served else Readiness.STARTING

    def status(self) -> str:
        """What `systemctl status` shows."""
        if self._node is None or not self._served:
            return "bringing the stored state into force"
        return f"serving the API on port {self._node.port}"


def run(arguments: Sequence[str]) -> int:
    """Run the agent; the exit code is one of `libra_common.exits`."""
    return live(PROG, read=partial(load, arguments), make=AmphoraDaemon)
