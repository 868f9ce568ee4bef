"""Who runs each command that a page of the manual shows.

`RUN` are the pages whose commands `tests/integration/install/test_pages.py` runs word for word, in
their order, on a machine of its own; all but those that stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RUN = ("README.md", "cli.md", "gate.md", "operations.md", "tutorial.md")

_INSTALL = "tests/support/machine.py::install"
_POOL = "tests/integration/client/test_pool.py::"
_SWEEP = "tests/integration/pool/test_sweep.py::"
_OPERATOR = "test_an_operator_can_see_everything_and_remove_it"
_LOCAL = f"tests/integration/local/test_pool_manager.py::{_OPERATOR}"
_CHECK = "tests/integration/pool/test_life.py::test_check_config_asks_the_cloud_itself"

ELSEWHERE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        # What bin/demo starts after bin/setup; tests/fresh/run has both on a bare Debian.
        ("README.md", "bin/demo"): "tests/integration/test_demo.py"
        "::test_every_step_is_as_it_should_be_and_nothing_is_left",
        # Into a tree instead of the system, and all that follows runs on that.
        ("operations.md", "make install"): _INSTALL,
        ("tutorial.md", "make install"): _INSTALL,
        ("operations.md", "make install DESTDIR=/tmp/tree EXTRAS=amphora"): _INSTALL,
        # The Makefile's own words for a tree with this extra.
        ("amphora.md", "pip install '.[amphora]'"): _INSTALL,
        (
            "amphora.md",
            (
                "libra_amphora --config-file /etc/octavia/amphora-agent.conf"
                " --config-file /etc/libra-node.conf"
            ),
        ): "tests/integration/install/test_init_scripts.py"
        "::test_the_pool_manager_and_the_agent_start_and_stop_by_their_scripts_too",
        ("cli.md", "libra pool build -n 2"): f"{_POOL}"
        "test_devices_are_built_at_once_listed_and_deleted",
        ("cli.md", "libra pool ip create"): f"{_POOL}test_a_floating_ip_goes_through_its_life",
        (
            "cli.md",
            "libra pool ip assign 203.0.113.1 libra-0c26a5e4-6d5c-4e8c-9d43-2a5f0d1b7c11",
        ): f"{_POOL}test_a_floating_ip_goes_through_its_life",
        (
            "cli.md",
            (
                "libra pool port attach libra-0c26a5e4-... my-vip --subnet 4a1c..."
                " --address 203.0.113.7"
            ),
        ): f"{_POOL}test_a_port_goes_through_its_life_and_the_clouds_own_list_has_it",
        ("local-cloud.md", "sudo bin/libra_pool_mgm --config-file libra.cfg &"): (
            "tests/integration/local/test_pool_manager.py"
            "::test_the_actions_of_the_spec_are_carried_out"
        ),
        ("local-cloud.md", "bin/libra --config-file libra.cfg pool build"): f"{_POOL}"
        "test_one_device_is_shown_as_a_table_or_as_its_answer",
        (
            "local-cloud.md",
            "sudo .venv/bin/python -m libra_pool_mgm.clouds.local --config-file libra.cfg list",
        ): _LOCAL,
        (
            "local-cloud.md",
            (
                "sudo .venv/bin/python -m libra_pool_mgm.clouds.local --config-file libra.cfg"
                " remove-everything"
            ),
        ): _LOCAL,
        # The same file entered by setns instead of nsenter.
        ("local-cloud.md", "sudo nsenter --net=/proc/1234/fd/21 curl http://203.0.113.1/"): (
            "tests/integration/local/test_addresses.py"
            "::test_an_address_serves_where_it_is_assigned_and_nowhere_after"
        ),
        ("openstack.md", "libra_pool_mgm --config-file libra.cfg --check-config"): (
            "tests/integration/pool/nova/test_nova_actions.py::test_the_check_of_the_settings_reaches_into_the_cloud"
        ),
        ("operations.md", "libra octavia downgrade 0001 --yes"): (
            "tests/integration/upgrade/test_inventory.py"
            "::test_what_is_known_is_known_to_the_next_release_and_to_the_one_before_again"
        ),
        ("pool.md", "bin/libra_pool_mgm --config-file libra.cfg --check-config"): _CHECK,
        ("pool.md", "bin/libra_pool_mgm --config-file libra.cfg"): f"{_POOL}"
        "test_devices_are_built_at_once_listed_and_deleted",
        ("pool.md", "libra_pool_mgm --config-file libra.cfg --sweep --dry-run"): f"{_SWEEP}"
        "test_of_50_delivered_and_20_orphans_exactly_the_20_go",
        ("pool.md", "libra_pool_mgm --config-file libra.cfg --sweep"): f"{_SWEEP}"
        "test_of_50_delivered_and_20_orphans_exactly_the_20_go",
    }
)
"""By page and command: the function that runs it, or the same but for names and places."""

NOWHERE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("README.md", "bin/test"): "it is what runs this",
        ("cli.md", "libra [OPTIONS] COMMAND [OPTIONS] ..."): "how a command line looks, not one",
        ("octavia.md", "pip install '.[octavia]'"): (
            "fetches from a package index; bin/setup installs this extra for all other tests"
        ),
        (
            "tutorial.md",
            "apt-get install --yes make python3-venv haproxy gearman-job-server gearman-tools curl",
        ): "changes the system and needs its mirror; bin/setup installs the same packages",
    }
)
"""By page and command: why no test runs it."""
