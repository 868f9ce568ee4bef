"""The rows of [mgm:nova]: what an OpenStack cloud is asked for, and what new nodes are told."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_POOL = frozenset({"libra_pool_mgm"})
_NODE_TLS = (
    " Written into the user_data of new nodes, which every process of the node can read. Needed"
    " when [gearman] asks for TLS; the pool manager's own files are never given to a node."
)

NOVA_ROWS: tuple[Setting, ...] = (
    Setting(
        section="mgm:nova",
        name="os_cloud",
        kind=values.Text(),
        default="",
        help=(
            "The entry of clouds.yaml that says where the cloud is and how to log in; it takes"
            " the place of [mgm] nova_auth_url, nova_user and their like. Empty: those, and where"
            " they are empty too, the entry named by OS_CLOUD in the environment."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="clouds_file",
        kind=values.FilePath(optional=True),
        default="",
        help=(
            "The clouds.yaml. Empty: where all OpenStack clients look, which is"
            " OS_CLIENT_CONFIG_FILE, the working directory, ~/.config/openstack and"
            " /etc/openstack."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="domain",
        kind=values.Text(),
        default="default",
        help="The id of the domain of [mgm] nova_user and of nova_tenant.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="address_network",
        kind=values.Text(),
        default="",
        help=(
            "The network, name or id, whose address is answered as a device's. Empty: the first in"
            " the order of their names that has an address of the family."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="address_family",
        kind=values.Choice("4", "6"),
        default="4",
        help="Whether a device's IPv4 or IPv6 address is answered.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="floating_network",
        kind=values.Text(),
        default="",
        help="The external network, name or id, of floating IPs. Empty: the only one.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="gearman_servers",
        kind=values.Several(values.Endpoint(default_port=4730), optional=True),
        default="",
        help=(
            "The job servers as new nodes reach them. Empty: [gearman] servers, which must then be"
            " no address of this machine alone."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="ssl_key",
        kind=values.FilePath(optional=True),
        default="",
        help="The private key of new nodes, a PEM file." + _NODE_TLS,
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="ssl_cert",
        kind=values.FilePath(optional=True),
        default="",
        help="The certificate of new nodes, a PEM file.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="ssl_ca",
        kind=values.FilePath(optional=True),
        default="",
        help="The certificate authority by which new nodes know the job servers, a PEM file.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="package",
        kind=values.Text(),
        default="",
        help=(
            "What pip installs on a new node at its first boot to have Libra: libra==1.0.0, or the"
            " URL of a wheel. Empty: the image has Libra, and a systemd unit libra-worker."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm:nova",
        name="package_index",
        kind=values.Text(),
        default="",
        help="The URL of the package index that pip takes it from. Empty: pip's own.",
        daemons=_POOL,
    ),
)
"""Part of the table."""
