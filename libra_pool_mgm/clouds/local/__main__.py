"""For operators: `python -m libra_pool_mgm.clouds.local [settings options] remove-everything`.

`list` shows devices, ports and floating IPs as the cloud has them, `remove-everything` ends all of
them and the outer namespace. Exit codes: 0 done; 64 wrong command line; those of the daemons else.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from libra_common.errors import LibraError
from libra_common.exits import Exit, exit_code_of
from libra_common.settings import load
from libra_pool_mgm.clouds.local.cloud import LocalCloud
from libra_pool_mgm.clouds.local.opening import local_cloud

_PROG = "libra_pool_mgm"


def main(arguments: list[str]) -> int:
    """Do what the last argument says."""
    acts = {"list": _list, "remove-everything": LocalCloud.remove_everything}
    if not arguments or arguments[-1] not in acts:
        sys.stderr.write(
            f"usage: python -m {__package__} [options of {_PROG}] {{{'|'.join(acts)}}}\n"
        )
        return Exit.USAGE
    try:
        acts[arguments[-1]](local_cloud(load(arguments[:-1], prog=_PROG)))
    except LibraError as error:
        sys.stderr.write(f"{_PROG}: {error}\n")
        return exit_code_of(error)
    return Exit.OK


def _list(cloud: LocalCloud) -> None:
    found = {
        "devices": [asdict(device) for device in cloud.devices()],
        "ports": [asdict(port) for port in cloud.ports()],
        "addresses": [asdict(address) for address in cloud.addresses()],
        "outer_namespace": None if cloud.outer.pid is None else cloud.outer.path,
    }
    sys.stdout.write(json.dumps(found, indent=2, default=str) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
