"""The `libra_keeper` command: HAProxy's keeper as a service of its own, as under systemd.

It waits until there is something to serve and then becomes the keeper, so it starts before the
worker, lives longer, and serves what is stored even where no worker runs. It ends when the worker
stops HAProxy; the service manager then starts it again, to wait for the next load balancer.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from libra_common import logs
from libra_common.complaint import complain
from libra_common.errors import LibraError, SettingsError
from libra_common.settings import Settings, load
from libra_common.systemd import Notifier
from libra_haproxy.keeper_client import KeeperClient
from libra_haproxy.opening import make_keeper
from libra_worker.node import instance_settings

LOG = logging.getLogger(__name__)

PROG = "libra_keeper"

_LOOK_SECONDS = 0.1
"""A worker that has a load balancer to serve waits for us at most this much longer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Wait, then be the keeper; the exit code is one of `libra_common.exits`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        settings = load(arguments, prog=PROG)
        logs.setup(settings.default, prog=PROG, detached=False)
        keep(settings)
    except LibraError as error:
        return complain(PROG, error)


def keep(settings: Settings) -> NoReturn:
    """Become the keeper of the worker of these settings, once it has something to serve.

    Raises SettingsError where the worker would start one itself, LibraError where the worker's
    directories cannot be used.
    """
    if settings.haproxy.keeper != "service":
        raise SettingsError(
            f"[worker:haproxy] keeper = {settings.haproxy.keeper!r}: must be 'service', or the"
            " worker would start a keeper beside this one"
        )
    keeper = make_keeper(instance_settings(settings))
    notifier = Notifier.from_environment()
    notifier.ready()
    _wait(keeper, notifier)
    notifier.status("keeping HAProxy running")
    command = keeper.command
    # From here on SIGTERM means to stop HAProxy, and waits until the keeper can do that.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
    os.execve(command[0], command, {})  # noqa: S606 - no shell is meant


def _wait(keeper: KeeperClient, notifier: Notifier) -> None:
    if not keeper.wanted:
        LOG.info("there is nothing to serve yet")
        notifier.status("nothing to serve yet")
    while not keeper.wanted:
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
