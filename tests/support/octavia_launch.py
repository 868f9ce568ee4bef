"""Runs a part of OpenStack Octavia, with Libra beside it, by the interpreter of its environment.

    python octavia_launch.py SITE_PACKAGES COMMIT_DELAY {database|api|agent} CONFIG

Libra and what it needs come from SITE_PACKAGES, behind Octavia's own packages. COMMIT_DELAY is how
many seconds the API's transaction stays open after a driver's method has returned.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

_WORDS = {
    "ProvisioningStatus": "SUPPORTED_PROVISIONING_STATUSES",
    "OperatingStatus": "SUPPORTED_OPERATING_STATUSES",
    "Protocol": "SUPPORTED_PROTOCOLS",
    "Algorithm": "SUPPORTED_LB_ALGORITHMS",
    "SessionPersistenceType": "SUPPORTED_SP_TYPES",
    "HealthMonitorType": "SUPPORTED_HEALTH_MONITOR_TYPES",
    "AmphoraRoles": "SUPPORTED_AMPHORA_ROLES",
    "LBTopology": "SUPPORTED_LB_TOPOLOGIES",
    "VRRPAuthMethod": "SUPPORTED_VRRP_AUTH",
    "L7RuleType": "SUPPORTED_L7RULE_TYPES",
    "L7RuleCompareType": "SUPPORTED_L7RULE_COMPARE_TYPES",
    "L7PolicyAction": "SUPPORTED_L7POLICY_ACTIONS",
    "ClientAuthenticationMode": "SUPPORTED_CLIENT_AUTH_MODES",
}
"""Octavia's tables of words, each by its model, and the constants that are in it."""


def make_database() -> None:
    """Octavia's migrations do not run on SQLite: the tables are made from its models."""
    from octavia.common import constants
    from octavia.db import api as db_api
    from octavia.db import base_models, models

    base_models.BASE.metadata.create_all(db_api.get_engine())
    session = db_api.get_session()
    with session.begin():
        for model, words in _WORDS.items():
            for word in getattr(constants, words):
                session.add(getattr(models, model)(name=word))


def commit_late(seconds: float) -> None:
    """Have each commit of the API wait once the driver has returned."""
    from octavia.api.drivers import utils

    call = utils.call_provider

    def late(provider: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        result = call(provider, method, *args, **kwargs)
        time.sleep(seconds)
        return result

    utils.call_provider = late


def write_again() -> None:
    """Have the driver-agent write each status again where SQLite would not let it.

    SQLite refuses at once whoever wants to write after another has, and a report that is refused
    for one of its hundred objects is made again from the first; other databases would wait.
    """
    from octavia.api.drivers.driver_agent.driver_updater import DriverUpdater
    from octavia_lib.api.drivers.exceptions import UpdateStatusError

    update = DriverUpdater._process_status_update

    def again(self: Any, *args: Any, **kwargs: Any) -> None:
        left = 200
        while left:
            left -= 1
            try:
                update(self, *args, **kwargs)
            except UpdateStatusError as error:
                if not left or "database is locked" not in error.fault_string:
                    raise
                time.sleep(random.uniform(0.01, 0.05))
            else:
                return

    DriverUpdater._process_status_update = again


def main() -> None:
    _, packages, delay, part, config = sys.argv
    del sys.path[0]  # this folder, whose modules have names of Octavia's own
    sys.path += [str(Path(__file__).parents[2]), packages]
    sys.argv = [part, "--config-file", config]
    if part == "database":
        from octavia.common import service

        service.prepare_service(sys.argv)
        make_database()
    elif part == "api":
        from octavia.cmd import api

        if float(delay):
            commit_late(float(delay))
        api.main()
    else:
        from octavia.cmd import driver_agent

        write_again()
        driver_agent.main()


if __name__ == "__main__":
    main()
