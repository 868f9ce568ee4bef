"""The rows of [mgm]: the pool manager."""

from __future__ import annotations

from libra_common.settings import values
from libra_common.settings.sections import Setting

_POOL = frozenset({"libra_pool_mgm"})

MGM_ROWS: tuple[Setting, ...] = (
    Setting(
        section="mgm",
        name="cloud",
        kind=values.Text(words="local, nova or the name of a Python module"),
        default="local",
        help=(
            "Where devices live: local (network namespaces of this machine), nova"
            " (OpenStack), or the dotted name of a Python module that has another one's"
            " `make_cloud`."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="az",
        kind=values.Text(words="text"),
        default="1",
        help=(
            "The zone that answers name, as the API server knows it; a number for the original's."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="pid",
        kind=values.FilePath(),
        default="/run/libra/libra_pool_mgm.pid",
        help="The pid file; its lock lets only one pool manager run with these settings.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="node_basename",
        kind=values.Basename(words="1 to 63 letters, digits, dots, hyphens and underscores"),
        default="libra",
        help=(
            "What the name of each device begins with. Only what bears it is ever swept, so"
            " no two pools may share it. Underscores become hyphens in names."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="slots",
        kind=values.Number(minimum=1, maximum=1024),
        default="64",
        help=(
            "How many messages are worked at the same time, for each job server; more wait"
            " in its queue."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="threads",
        kind=values.Number(minimum=1, maximum=64),
        default="8",
        help=(
            "How many calls to the cloud run at the same time. Builds that wait need none, and"
            " new devices are looked at beside them."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="cloud_timeout",
        kind=values.Number(minimum=1, maximum=600),
        default="30",
        unit="seconds",
        help="How long one call to the cloud may take.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="build_timeout",
        kind=values.Number(minimum=1, maximum=86400),
        default="600",
        unit="seconds",
        help=(
            "How long a device may take from its order to its registration at a job server;"
            " what is slower is deleted again."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="build_diag_timeout",
        kind=values.Number(minimum=1, maximum=600),
        default="10",
        unit="seconds",
        help="How long a new device may take to answer DIAGNOSTICS.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="delete_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="20",
        unit="seconds",
        help="How long DELETE_DEVICE waits until the device is gone.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="assign_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="30",
        unit="seconds",
        help=(
            "How long ASSIGN_IP waits until the address is seen at its device, and answers"
            " there if tcp_check_port is set; and ATTACH_PORT and DETACH_PORT until the port is"
            " there, or gone."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="tcp_check_port",
        kind=values.Number(minimum=1, maximum=65535, optional=True),
        default="",
        help=(
            "The port of a floating IP that ASSIGN_IP must be able to connect to. Empty: no check."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="stop_timeout",
        kind=values.Number(minimum=1, maximum=3600),
        default="60",
        unit="seconds",
        help=(
            "How long a pool manager asked to stop waits for running messages; builds that"
            " need longer are undone ten seconds before the end."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_interval",
        kind=values.Number(minimum=0, maximum=86400),
        default="600",
        unit="seconds",
        help=(
            "Time between two sweeps for devices and addresses that nobody was given. 0: no"
            " sweeps but those asked for by --sweep."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_grace",
        kind=values.Number(minimum=0, maximum=604800),
        default="3600",
        unit="seconds",
        help="How old a thing must be to be swept; must be longer than a build takes.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="sweep_share",
        kind=values.Number(minimum=1, maximum=100),
        default="50",
        unit="percent",
        help=(
            "A sweep that would remove more than this share of all devices, or of all"
            " addresses, removes none and complains; five it may always remove."
        ),
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_auth_url",
        kind=values.Text(),
        default="",
        help="URL of Keystone, with its version (/v3).",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_user",
        kind=values.Text(),
        default="",
        help="The user to log in as.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_pass",
        kind=values.Text(),
        default="",
        help="The password of nova_user.",
        secret=True,
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_region",
        kind=values.Text(),
        default="",
        help="The region. Empty: the only one.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_tenant",
        kind=values.Text(),
        default="",
        help="The name of the project.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_tenant_id",
        kind=values.Text(),
        default="",
        help="The id of the project, instead of its name.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_keyname",
        kind=values.Text(),
        default="",
        help="The key pair for new devices. Empty: none.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_secgroup",
        kind=values.Text(),
        default="",
        help="The security group of new devices, name or id. Empty: the project's default.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_image",
        kind=values.Text(),
        default="",
        help="The image that new devices boot, name or id.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_image_size",
        kind=values.Text(),
        default="",
        help="The flavor of new devices, name or id.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_az_name",
        kind=values.Text(),
        default="",
        help="The availability zone to build in. Empty: the cloud chooses.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_net_id",
        kind=values.Text(),
        default="",
        help="The network of new devices, name or id. Empty: the project's only one.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_bypass_url",
        kind=values.Text(),
        default="",
        help="The URL of Nova, where the one in Keystone's catalogue is not to be used.",
        daemons=_POOL,
    ),
    Setting(
        section="mgm",
        name="nova_insecure",
        kind=values.Switch(),
        default="false",
        help="Do not verify the cloud's certificates: for tests only.",
        daemons=_POOL,
    ),
)
