"""An ordinary user needs two capabilities and no more; what is missing is named."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from libra_pool_mgm.clouds.errors import BadRequest
from tests.integration.local.test_agents import NET_ADMIN_AND_RAW, agent_of, answers, ask, status
from tests.integration.worker.test_unprivileged import as_nobody
from tests.support.device_agent import Controller
from tests.support.localcloud import Site, device_user, in_another_process, wish
from tests.support.need import missing
from tests.support.wait import until

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def nobodys(make_site: Callable[..., Site]) -> Site:
    """A cloud whose folder is an ordinary user's."""
    if device_user() == "root":
        missing("the Python of these tests lives where no other user may look")
    site = make_site()
    site.cloud().remove_everything()
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return site


def test_an_ordinary_user_with_two_capabilities_can_do_it_all(nobodys: Site) -> None:
    rights = as_nobody("sys_admin", "net_admin")
    ordered = wish()
    assert in_another_process(nobodys, "check", prefix=rights) is None
    made = in_another_process(nobodys, "create", ordered.key, ordered.name, prefix=rights)
    assert made["state"] == "active"
    (device,) = nobodys.cloud().devices()
    nobodys.wait_for(device)
    with nobodys.cloud().outer.entered():
        web = nobodys.web("web")
    # Port 80 too, though nothing in the device has any right
    assert nobodys.serve(device, web).ok
    address = in_another_process(nobodys, "create-address", "k", prefix=rights)
    in_another_process(nobodys, "assign", address["ip"], device.name, prefix=rights)
    assert nobodys.get(address["ip"]).body == b"web"
    in_another_process(nobodys, "remove", address["ip"], device.name, prefix=rights)
    for pid, words in nobodys.processes().items():
        if words.startswith("unshare "):  # it only waits, with what it needed for its one act
            continue
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{NOBODY.pw_uid}\t" in status
        assert "CapEff:\t0000000000000000" in status
    in_another_process(nobodys, "remove-everything", prefix=rights)
    assert nobodys.processes() == {}


def test_an_ordinary_users_devices_have_agents_with_rights_in_their_network_alone(
    nobodys: Site,
) -> None:
    rights, controller, ordered = as_nobody("sys_admin", "net_admin"), Controller(), wish()
    told = nobodys.folder / "agent.json"
    told.write_text(json.dumps(controller.agent()))
    os.chown(told, NOBODY.pw_uid, NOBODY.pw_gid)
    words = ("create", ordered.key, ordered.name, str(told))
    in_another_process(nobodys, *words, prefix=rights)
    (device,) = nobodys.cloud().devices()
    until(lambda: answers(nobodys, controller, device), "the agent answers", 60)
    # When it is plugged by its agent / Then that could do it, with two rights and no root
    port = in_another_process(nobodys, "attach", device.name, "k", "198.19.9.9", prefix=rights)
    (fixed,) = port["fixed_ips"]
    body = {
        "mac_address": port["mac"],
        "subnet_cidr": fixed["cidr"],
        "gateway": fixed["gateway"],
        "vrrp_ip": fixed["ip"],
    }
    plugged = ask(nobodys, controller, device, "POST", "/1.0/plug/vip/198.19.9.9", json_body=body)
    assert plugged.status == 202, plugged
    agent_pid = agent_of(nobodys)
    assert status(agent_pid, "Uid").split()[0] == str(NOBODY.pw_uid)
    assert int(status(agent_pid, "CapEff"), 16) == NET_ADMIN_AND_RAW
    in_another_process(nobodys, "remove-everything", prefix=rights)
    assert nobodys.processes() == {}


@pytest.mark.parametrize(
    ("granted", "named"),
    [
        ((), "CAP_NET_ADMIN, CAP_SYS_ADMIN"),
        (("sys_admin",), "CAP_NET_ADMIN"),
        (("net_admin",), "CAP_SYS_ADMIN"),
    ],
)
def test_a_missing_capability_is_named(nobodys: Site, granted: tuple[str, ...], named: str) -> None:
    said = in_another_process(nobodys, "check", prefix=as_nobody(*granted))
    assert said["error_code"] == "unauthorized"
    assert f"needs {named}:" in said["error"]


def test_a_user_or_program_that_is_not_there_is_named(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.haproxy = Path("/nowhere/haproxy")
    with pytest.raises(BadRequest, match="/nowhere/haproxy is not there"):
        site.cloud().check()
    site.user = "no-such-user"
    with pytest.raises(BadRequest, match="there is no user 'no-such-user'"):
        site.cloud()
    site.user = device_user()
