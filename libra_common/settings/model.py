"""The settings as daemons see them: frozen, typed, complete. The table says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from libra_common.settings.values import HostPort


@dataclass(frozen=True, kw_only=True, slots=True)
class DefaultSettings:
    """[DEFAULT]: logs and the manner of running, the same for each daemon."""

    log_level: str
    log_format: str
    log_file: Path | None
    syslog: bool
    syslog_facility: str
    daemon: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GearmanSettings:
    """[gearman]: the job servers. The three TLS files are all set or all None."""

    servers: tuple[HostPort, ...]
    ssl_key: Path | None
    ssl_cert: Path | None
    ssl_ca: Path | None
    message_limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """[worker]: this node as gearmand knows it. `stop_timeout` is in seconds."""

    name: str
    slots: int
    pid: Path
    driver: str
    diagnostics_address: HostPort | None
    stop_timeout: int
    health: Path | HostPort | None


@dataclass(frozen=True, kw_only=True, slots=True)
class HaproxySettings:
    """[worker:haproxy]: the engine. `haproxy` is the binary; no `bind_address` means all.

    `linger` is in seconds.
    """

    haproxy: Path
    bind_address: tuple[str, ...]
    state_dir: Path
    run_dir: Path
    log_dir: Path
    user: str
    group: str
    max_nodes: int
    maxconn: int
    linger: int
    log_max_bytes: int
    log_max_age: int
    log_free_percent: int
    log_rotate_bytes: int
    logfile: Path | None
    syslog_socket: Path
    keeper: str
    renewal: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MgmSettings:
    """[mgm]: the pool manager. Times are in seconds, `sweep_share` is in percent.

    No `tcp_check_port` means no check; a `sweep_interval` of 0 means no periodic sweep. The names
    that begin with `nova_` are those of the cloud `nova`, as the original had them.
    """

    cloud: str
    az: str
    pid: Path
    node_basename: str
    slots: int
    threads: int
    cloud_timeout: int
    build_timeout: int
    build_diag_timeout: int
    delete_timeout: int
    assign_timeout: int
    tcp_check_port: int | None
    stop_timeout: int
    sweep_interval: int
    sweep_grace: int
    sweep_share: int
    nova_auth_url: str
    nova_user: str
    nova_pass: str
    nova_region: str
    nova_tenant: str
    nova_tenant_id: str
    nova_keyname: str
    nova_secgroup: str
    nova_image: str
    nova_image_size: str
    nova_az_name: str
    nova_net_id: str
    nova_bypass_url: str
    nova_insecure: bool
    health: Path | HostPort | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSettings:
    """[mgm:local]: devices on this machine; `addresses` overlaps no other range.

    `outer` is "new" or "own".
    """

    folder: Path
    outer: str
    devices: IPv4Network
    addresses: IPv4Network
    ports: IPv4Network
    ports_ipv6: IPv6Network
    haproxy: Path
    user: str
    group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NovaSettings:
    """[mgm:nova]: an OpenStack cloud, beside the settings of [mgm] that begin with `nova_`.

    The three TLS files are those of new nodes; `address_family` is "4" or "6".
    """

    os_cloud: str
    clouds_file: Path | None
    domain: str
    address_network: str
    address_family: str
    floating_network: str
    gearman_servers: tuple[HostPort, ...]
    ssl_key: Path | None
    ssl_cert: Path | None
    ssl_ca: Path | None
    package: str
    package_index: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveSettings:
    """[archive]: object stores. `timeout` and `deadline` are in seconds."""

    ca: Path | None
    allow_http: bool
    segment_bytes: int
    timeout: int
    deadline: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OctaviaSettings:
    """[octavia]: the provider. Times are in seconds.

    `inventory` is the URL of its database, with a password if any; `devices` the name of a module.
    """

    inventory: str
    devices: str
    driver_agent_sockets: Path
    pid: Path
    slots: int
    lease: int
    commit_timeout: int
    deadline: int
    stop_timeout: int
    heartbeat_bind: HostPort
    heartbeat_key: str
    heartbeat_controllers: tuple[HostPort, ...]
    heartbeat_silence: int
    report_again: int
    controllers: int
    pool_function: str
    pool_build_timeout: int
    pool_timeout: int
    ca_dir: Path
    certificate_days: int
    device_port: int
    device_connect_timeout: int
    device_timeout: int
    device_boot_timeout: int
    vip: str
    ip_vs: bool
    security_groups: tuple[str, ...]
    health: Path | HostPort | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSettings:
    """[gate]: what stands before gearmand. Times are in seconds, `packet_limit` is in bytes.

    The gate itself insists on the three TLS files; other daemons read none of this.
    """

    bind: tuple[HostPort, ...]
    gearmand: tuple[HostPort, ...]
    ssl_key: Path | None
    ssl_cert: Path | None
    ssl_ca: Path | None
    crl: Path | None
    pid: Path
    stop_timeout: int
    handshake_timeout: int
    packet_timeout: int
    packet_limit: int
    packets_per_second: int
    connections: int
    connections_per_name: int
    health: Path | HostPort | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of a daemon, each section by its own name."""

    default: DefaultSettings
    gearman: GearmanSettings
    worker: WorkerSettings
    haproxy: HaproxySettings
    archive: ArchiveSettings
    mgm: MgmSettings
    local: LocalSettings
    nova: NovaSettings
    octavia: OctaviaSettings
    gate: GateSettings
