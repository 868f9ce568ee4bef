"""The holder of the outer namespace: a process that is there. Standard library only.

It says `{"ready": true}` once the namespace can be entered through its file descriptor.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path

from libra_pool_mgm.clouds.local import kernel
from libra_pool_mgm.clouds.local.marks import HOLDER_BYTE, OUTER_FD

READY = b'{"ready": true}\n'


def main(arguments: list[str]) -> int:
    """Hold a new outer namespace, or one that is given, until asked to end."""
    parser = argparse.ArgumentParser(prog="libra_holder", description="the outer namespace's")
    parser.add_argument("--lock", required=True, type=Path)
    parser.add_argument("--network", type=int, help="descriptor of one that is there already")
    given = parser.parse_args(arguments)
    lock = os.open(given.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    kernel.hold(lock, HOLDER_BYTE)
    if given.network is None:
        kernel.leave_for_a_new_network()
        given.network = kernel.this_network()
    kernel.fix(kernel.out_of_the_way(given.network), OUTER_FD)
    kernel.drop_capabilities()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    os.write(1, READY)
    signal.sigwait({signal.SIGTERM})
    return 0
