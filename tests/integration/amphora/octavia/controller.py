"""Octavia's controller, as far as it talks to a node. Runs in Octavia's own environment.

    controller.py FILE control   obeys: a JSON list [command, {arguments}] a line, an answer each
    controller.py FILE health    its health manager: takes heartbeats until it is ended

Nothing of Octavia is replaced: its driver, client, templates, data models, certificate manager,
health manager and database tables do what they do in a controller, in the order of its flows.
Only those who would call them (API, queue, compute, Neutron) are not there; this file is they.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from octavia.amphorae.drivers.haproxy import rest_api_driver
from octavia.amphorae.drivers.health import heartbeat_udp
from octavia.common import config, constants
from octavia.db import api as db_api
from octavia.db import base_models, models
from octavia.db import repositories as repo
from octavia.network import data_models as network_models
from sqlalchemy import orm

TIMEOUTS = {
    constants.CONN_MAX_RETRIES: 20,
    constants.CONN_RETRY_INTERVAL: 1,
    constants.REQ_CONN_TIMEOUT: 10,
    constants.REQ_READ_TIMEOUT: 60,
}

LOOKUPS = (
    (models.ProvisioningStatus, constants.SUPPORTED_PROVISIONING_STATUSES),
    (models.OperatingStatus, constants.SUPPORTED_OPERATING_STATUSES),
    (models.Protocol, constants.SUPPORTED_PROTOCOLS),
    (models.Algorithm, constants.SUPPORTED_LB_ALGORITHMS),
    (models.AmphoraRoles, constants.SUPPORTED_AMPHORA_ROLES),
    (models.LBTopology, constants.SUPPORTED_LB_TOPOLOGIES),
    (models.SessionPersistenceType, constants.SUPPORTED_SP_TYPES),
    (models.HealthMonitorType, constants.SUPPORTED_HEALTH_MONITOR_TYPES),
    (models.VRRPAuthMethod, constants.SUPPORTED_VRRP_AUTH),
    (models.L7RuleType, constants.SUPPORTED_L7RULE_TYPES),
    (models.L7RuleCompareType, constants.SUPPORTED_L7RULE_COMPARE_TYPES),
    (models.L7PolicyAction, constants.SUPPORTED_L7POLICY_ACTIONS),
    (models.ClientAuthenticationMode, constants.SUPPORTED_CLIENT_AUTH_MODES),
)


@contextlib.contextmanager
def database() -> Iterator[Any]:
    """A transaction; releases differ in how they begin one."""
    with orm.Session(db_api.get_engine()) as session, session.begin():
        yield session


class Controller:
    """Its commands are its public methods."""

    def __init__(self) -> None:
        self._driver = rest_api_driver.HaproxyAmphoraLoadBalancerDriver()

    # -- its database ------------------------------------------------------------------------

    def create_tables(self) -> None:
        base_models.BASE.metadata.create_all(db_api.get_engine())
        with database() as session:
            for table, names in LOOKUPS:
                for name in sorted(set(names)):
                    session.add(table(name=name))

    def add(self, *, rows: list[tuple[str, dict[str, Any]]]) -> None:
        for table, fields in rows:
            with database() as session:
                session.add(getattr(models, table)(**fields))

    def change(self, *, table: str, key: str, fields: dict[str, Any]) -> None:
        with database() as session:
            session.query(getattr(models, table)).filter_by(id=key).update(fields)

    def remove(self, *, table: str, key: str) -> None:
        with database() as session:
            session.query(getattr(models, table)).filter_by(id=key).delete()

    def statuses(self) -> dict[str, str]:
        """The operating status of everything, by its id."""
        tables = (models.LoadBalancer, models.Listener, models.Pool, models.Member)
        with database() as session:
            return {
                row.id: row.operating_status for table in tables for row in session.query(table)
            }

    def beats(self) -> dict[str, str]:
        """When each amphora was last taken for healthy."""
        with database() as session:
            return {
                row.amphora_id: str(row.last_update) for row in session.query(models.AmphoraHealth)
            }

    def statistics(self) -> dict[str, list[int]]:
        """Bytes in, bytes out and connections of each listener."""
        with database() as session:
            return {
                row.listener_id: [row.bytes_in, row.bytes_out, row.total_connections]
                for row in session.query(models.ListenerStatistics)
            }

    # -- its flows ---------------------------------------------------------------------------

    def wait_for_node(self, *, amphora: str) -> dict[str, Any]:
        found: dict[str, Any] = self._driver.get_info(self._amphora(amphora), timeout_dict=TIMEOUTS)
        return found

    def plug_vip(self, *, amphora: str, mac: str, subnet: dict[str, Any], mtu: int) -> None:
        """AmphoraPostVIPPlug."""
        one = self._amphora(amphora)
        network = network_models.Network(id="net", mtu=mtu)
        port = network_models.Port(id=one.vrrp_port_id, mac_address=mac, network=network)
        plug = self._driver.post_vip_plug
        if inspect.signature(plug).parameters["vrrp_port"].default is None:
            # Releases that take all of it from one object.
            found = network_models.AmphoraNetworkConfig(vip_subnet=_subnet(subnet), vrrp_port=port)
            plug(one, one.load_balancer, {amphora: found})
        else:
            plug(one, one.load_balancer, None, port, _subnet(subnet), additional_vip_data=[])

    def plug_network(
        self, *, amphora: str, mac: str, address: str, subnet: dict[str, Any], mtu: int
    ) -> None:
        """AmphoraPostNetworkPlug."""
        fixed = network_models.FixedIP(ip_address=address, subnet=_subnet(subnet))
        network = network_models.Network(id="member-net", mtu=mtu)
        port = network_models.Port(
            id="member-port", mac_address=mac, fixed_ips=[fixed], network=network
        )
        self._driver.post_network_plug(self._amphora(amphora), port, {})

    def update(self, *, balancer: str) -> None:
        """ListenersUpdate, for every change of listeners, pools, members, monitors, rules."""
        self._driver.update(self._balancer(balancer))

    def update_amphora(self, *, balancer: str, amphora: str) -> None:
        """AmpListenersUpdate, in a failover."""
        one = self._balancer(balancer)
        found = next(other for other in one.amphorae if other.id == amphora)
        self._driver.update_amphora_listeners(one, found, TIMEOUTS)

    def start(self, *, balancer: str) -> None:
        self._driver.start(self._balancer(balancer), timeout_dict=TIMEOUTS)

    def reload(self, *, balancer: str) -> None:
        self._driver.reload(self._balancer(balancer), timeout_dict=TIMEOUTS)

    def delete_listener(self, *, listener: str) -> None:
        """ListenerDelete: the node first, then the database."""
        with database() as session:
            found = repo.ListenerRepository().get(session, id=listener)
        self._driver.delete(found)
        with database() as session:
            session.delete(session.get(models.Listener, listener))

    def start_vrrp(self, *, amphora: str, subnet: dict[str, Any]) -> str:
        """AmphoraUpdateVRRPInterface, AmphoraVRRPUpdate, AmphoraVRRPStart."""
        one = self._amphora(amphora)
        interface: str = self._driver.get_interface_from_ip(one, one.vrrp_ip, TIMEOUTS)
        self.change(table="Amphora", key=amphora, fields={"vrrp_interface": interface})
        one = self._amphora(amphora)
        config_of = {amphora: {constants.VIP_SUBNET: subnet, "additional_vip_data": []}}
        self._driver.update_vrrp_conf(one.load_balancer, config_of, one, TIMEOUTS)
        self._driver.start_vrrp_service(one, TIMEOUTS)
        return interface

    def stop_vrrp(self, *, balancer: str) -> None:
        self._driver.stop_vrrp_service(self._balancer(balancer))

    def reload_vrrp(self, *, balancer: str) -> None:
        self._driver.reload_vrrp_service(self._balancer(balancer))

    def set_rules(self, *, amphora: str, address: str, rules: list[dict[str, Any]]) -> None:
        self._driver.set_interface_rules(self._amphora(amphora), address, rules, TIMEOUTS)

    def lvs_text(self, *, listener: str) -> str:
        """What it writes for a UDP or SCTP listener."""
        with database() as session:
            found = repo.ListenerRepository().get(session, id=listener)
        text: str = self._driver.lvs_jinja.build_config(listener=found)
        return text

    def rotate_certificate(self, *, amphora: str, pem: str) -> None:
        """AmphoraCertUpload."""
        self._driver.upload_cert_amp(self._amphora(amphora), pem.encode())

    def configure(self, *, amphora: str, text: str) -> None:
        """AmphoraConfigUpdate."""
        self._driver.update_amphora_agent_config(self._amphora(amphora), text, TIMEOUTS)

    def ask(self, *, amphora: str, call: str, arguments: list[Any]) -> Any:
        """A call of its client that no flow makes today."""
        one = self._amphora(amphora)
        self._driver.get_info(one, timeout_dict=TIMEOUTS)
        return getattr(self._driver.clients[one.api_version], call)(one, *arguments)

    def _amphora(self, key: str) -> Any:
        with database() as session:
            return repo.AmphoraRepository().get(session, id=key)

    def _balancer(self, key: str) -> Any:
        with database() as session:
            return repo.LoadBalancerRepository().get(session, id=key)


def _subnet(fields: dict[str, Any]) -> Any:
    return network_models.Subnet(
        cidr=fields["cidr"],
        gateway_ip=fields["gateway_ip"],
        host_routes=[network_models.HostRoute(**route) for route in fields["host_routes"]],
    )


def control() -> None:
    commands = Controller()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            command: Callable[..., Any] = getattr(commands, name)
            answer = {"answer": command(**arguments)}
        except Exception as error:  # noqa: BLE001 - the test decides what it means
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def health() -> None:
    # Those of its pools would otherwise outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    getter = heartbeat_udp.UDPStatusGetter()
    print(json.dumps({"ready": True}), flush=True)
    try:
        while True:
            getter.check()
    finally:
        getter.health_executor.shutdown(cancel_futures=True)
        getter.stats_executor.shutdown(cancel_futures=True)


if __name__ == "__main__":
    config.init(["--config-file", sys.argv[1]])
    {"control": control, "health": health}[sys.argv[2]]()
