"""One act on a local cloud, in a process that remembers nothing; prints what came of it as JSON.

python -m tests.support.localcloud_main FOLDER PORT DEVICES ADDRESSES USER ACT [WORD...]
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from libra_common.settings import HostPort
from libra_pool_mgm.clouds.base import Address, AgentWish, Device, DeviceWish, PortWish
from libra_pool_mgm.clouds.errors import CloudError
from libra_pool_mgm.clouds.local.account import account
from libra_pool_mgm.clouds.local.cloud import LocalCloud
from libra_pool_mgm.clouds.local.node import NodeSettings
from tests.support.localcloud import PORTS, PORTS_IPV6
from tests.support.need import program


def main(arguments: list[str]) -> None:
    folder, port, devices, addresses, user, act, *words = arguments
    cloud = LocalCloud(
        folder=Path(folder),
        addresses=IPv4Network(addresses),
        settings=NodeSettings(
            gearman=[HostPort("127.0.0.1", int(port))],
            haproxy=Path(program("haproxy")),
            account=account(user=user, group=user),
            devices=IPv4Network(devices),
            message_limit=4_194_304,
            ports=PORTS,
            ports_ipv6=PORTS_IPV6,
        ),
    )
    try:
        print(json.dumps(_do(cloud, act, words), default=str))
    except CloudError as error:
        print(json.dumps({"error_code": error.code, "error": str(error)}))


def _do(cloud: LocalCloud, act: str, words: list[str]) -> Any:
    match act, words:
        case "check", []:
            cloud.check()
        case "create", [key, name]:
            return asdict(cloud.create_device(DeviceWish(key=key, name=name)))
        case "create", [key, name, agent]:
            told = json.loads(Path(agent).read_text())
            wish = AgentWish(**told | {"controllers": tuple(told["controllers"])})
            return asdict(cloud.create_device(DeviceWish(key=key, name=name, agent=wish)))
        case "attach", [name, key, *addresses]:
            device = _device(cloud, name)
            port = cloud.create_port(PortWish(key=key, addresses=tuple(addresses)), device)
            cloud.attach_port(port, device)
            return asdict(port)
        case "devices", []:
            return [asdict(device) for device in cloud.devices()]
        case "delete", [name]:
            cloud.delete_device(_device(cloud, name))
        case "create-address", [key]:
            return asdict(cloud.create_address(key=key))
        case "assign", [ip, name]:
            cloud.assign_address(_address(cloud, ip), _device(cloud, name))
        case "remove", [ip, name]:
            cloud.remove_address(_address(cloud, ip), _device(cloud, name))
        case "remove-everything", []:
            cloud.remove_everything()
        case _:
            raise SystemExit(f"no such act: {act} {words}")
    return None


def _device(cloud: LocalCloud, name: str) -> Device:
    found = cloud.find_device(name)
    assert found is not None, name
    return found


def _address(cloud: LocalCloud, ip: str) -> Address:
    found = cloud.find_address(ip)
    assert found is not None, ip
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
