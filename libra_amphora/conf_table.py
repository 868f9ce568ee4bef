"""The rows of the agent's settings: Octavia's own names and defaults, and Libra's beside them.

Only what the agent reads is here; a file of Octavia's may hold much more, for its other programs.
"""

from __future__ import annotations

import uuid

from libra_common.settings import values
from libra_common.settings.health_rows import HELP
from libra_common.settings.sections import Setting
from libra_common.settings.table import TABLE as COMMON

_RUN_DIR_LIMIT = 50
"""Bytes. A load balancer's sockets lie two levels below, and a unix socket's path ends at 107."""


class Sentence(values.Text):
    """A text that must not be empty."""

    def parse(self, text: str) -> str:
        """Give the text."""
        if not text:
            raise ValueError("must not be empty")
        return super().parse(text)


class Uuid(values.Kind):
    """An id as Octavia writes it."""

    def parse(self, text: str) -> str:
        """Give the id in lower case."""
        try:
            found = str(uuid.UUID(text))
        except ValueError:
            raise ValueError("is not a UUID") from None
        if found != text.lower():
            raise ValueError("is not a UUID")
        return found

    def describe(self) -> str:
        """Name it."""
        return "UUID"


class Topology(values.Kind):
    """SINGLE or ACTIVE_STANDBY, as Octavia's file spells it; `-` is as good as `_`."""

    def parse(self, text: str) -> str:
        """Give the word as the API spells it."""
        found = text.upper().replace("_", "-")
        if found not in ("SINGLE", "ACTIVE-STANDBY"):
            raise ValueError("is neither SINGLE nor ACTIVE_STANDBY")
        return found

    def show(self, value: object) -> str:
        """Give Octavia's spelling."""
        return str(value).replace("-", "_")

    def describe(self) -> str:
        """Name both."""
        return "SINGLE or ACTIVE_STANDBY"


TABLE: tuple[Setting, ...] = (
    *(setting for setting in COMMON if setting.section == "DEFAULT"),
    Setting(
        section="DEFAULT",
        name="debug",
        kind=values.Switch(),
        default="false",
        help="Octavia's name for log_level = debug.",
    ),
    Setting(
        section="amphora_agent",
        name="agent_server_ca",
        kind=values.FilePath(),
        default="/etc/octavia/certs/client_ca.pem",
        help="The authorities that sign the certificates of callers, a PEM file.",
    ),
    Setting(
        section="amphora_agent",
        name="agent_server_cert",
        kind=values.FilePath(),
        default="/etc/octavia/certs/server.pem",
        help="This node's key, certificate and chain, a PEM file; PUT /certificate replaces it.",
    ),
    Setting(
        section="amphora_agent",
        name="agent_request_read_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="180",
        unit="seconds",
        help="How long a caller may take to send a request.",
    ),
    Setting(
        section="amphora_agent",
        name="agent_tls_protocol",
        kind=values.Choice("tlsv1.2", "tlsv1.3"),
        default="TLSv1.2",
        help="The oldest TLS that is spoken.",
    ),
    Setting(
        section="amphora_agent",
        name="amphora_id",
        kind=Uuid(),
        default="",
        default_note="none: it must be set",
        help="The node's UUID, which is also the name its certificate must have.",
    ),
    Setting(
        section="haproxy_amphora",
        name="base_path",
        kind=values.FilePath(),
        default="/var/lib/octavia",
        help=(
            "The folder that the controller writes into configurations. Nothing is kept there:"
            " such paths are understood and lead below state_dir and run_dir."
        ),
    ),
    Setting(
        section="haproxy_amphora",
        name="base_cert_dir",
        kind=values.FilePath(),
        default="/var/lib/octavia/certs",
        help="The same for certificates.",
    ),
    Setting(
        section="haproxy_amphora",
        name="bind_host",
        kind=values.Address(),
        default="::",
        help="The address that the API is served on; :: is IPv4 too.",
    ),
    Setting(
        section="haproxy_amphora",
        name="bind_port",
        kind=values.Number(minimum=0, maximum=65535),
        default="9443",
        help="The port that the API is served on; 0 takes a free one.",
    ),
    Setting(
        section="haproxy_amphora",
        name="haproxy_cmd",
        kind=values.FilePath(),
        default="/usr/sbin/haproxy",
        help="The HAProxy program.",
    ),
    Setting(
        section="health_manager",
        name="controller_ip_port_list",
        kind=values.Several(values.Endpoint(), optional=True),
        default="",
        help="Where heartbeats go, in turns. Empty: none are sent.",
    ),
    Setting(
        section="health_manager",
        name="heartbeat_interval",
        kind=values.Number(minimum=1, maximum=3600),
        default="10",
        unit="seconds",
        help="The time from one heartbeat to the next.",
    ),
    Setting(
        section="health_manager",
        name="heartbeat_key",
        kind=values.Text(),
        default="",
        secret=True,
        help="The key that heartbeats are signed with.",
    ),
    Setting(
        section="controller_worker",
        name="loadbalancer_topology",
        kind=Topology(),
        default="SINGLE",
        help="What the node is until POST topology says otherwise.",
    ),
    Setting(
        section="libra_amphora",
        name="netns",
        kind=values.Text(words="name of a network namespace, may be empty"),
        default="",
        help="The network namespace of traffic: interfaces, HAProxy, keepalived. Empty: none.",
    ),
    Setting(
        section="libra_amphora",
        name="state_dir",
        kind=values.FilePath(),
        default="/var/lib/libra/amphora",
        help="What must survive a reboot.",
    ),
    Setting(
        section="libra_amphora",
        name="run_dir",
        kind=values.FilePath(
            max_bytes=_RUN_DIR_LIMIT, why="the paths of unix sockets must stay below 100 bytes"
        ),
        default="/run/libra/amphora",
        help=(
            "Sockets and, while the machine runs, secrets: it should lie on a memory file system."
            " The API for callers on the node is its api.sock."
        ),
    ),
    Setting(
        section="libra_amphora",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_amphora.pid",
        help="The pid file; its lock lets only one agent run with these settings.",
    ),
    Setting(
        section="libra_amphora",
        name="node_key",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "A file with at least 32 random bytes, outside state_dir. Private keys and other"
            " secrets survive a reboot only encrypted under it. Empty: they end with the"
            " machine, and the controller sends them again."
        ),
    ),
    Setting(
        section="libra_amphora",
        name="allowed_names",
        kind=values.Several(Sentence(), optional=True),
        default="",
        help=(
            "Names (common or alternative) of client certificates that may call. Empty: every"
            " certificate of agent_server_ca may."
        ),
    ),
    Setting(
        section="libra_amphora",
        name="handshake_timeout",
        kind=values.Number(minimum=1, maximum=60),
        default="10",
        unit="seconds",
        help="How long a caller may take for the TLS handshake.",
    ),
    Setting(
        section="libra_amphora",
        name="memory_limit",
        kind=values.Number(minimum=0, maximum=1 << 40),
        default="262144",
        unit="kilobytes",
        help=(
            "The most memory that `details` says there is: a controller sizes HAProxy's TLS"
            " cache by it. 0: no bound but the control group's and the machine's."
        ),
    ),
    Setting(
        section="libra_amphora",
        name="user",
        kind=values.Account(words="name of a user"),
        default="haproxy",
        help="The user HAProxy runs as when the agent runs as root; else the agent's own.",
    ),
    Setting(
        section="libra_amphora",
        name="group",
        kind=values.Account(words="name of a group"),
        default="haproxy",
        help="The group HAProxy runs as when the agent runs as root; else the agent's own.",
    ),
    Setting(
        section="libra_amphora",
        name="health",
        kind=values.Loopback(),
        default="",
        help=HELP,
    ),
    Setting(
        section="libra_amphora",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="20",
        unit="seconds",
        help="How long an agent asked to stop waits for running requests.",
    ),
)

MUTABLE = frozenset(
    {
        ("health_manager", "controller_ip_port_list"),
        ("health_manager", "heartbeat_interval"),
        ("health_manager", "heartbeat_key"),
        ("controller_worker", "loadbalancer_topology"),
    }
)
"""What PUT /config changes in a running agent; the rest of the file counts at the next start."""
