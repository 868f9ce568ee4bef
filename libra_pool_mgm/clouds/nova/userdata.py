"""What a new server is told at its first boot, for cloud-init: to be a Libra node.

Its name, the gearman servers, its certificates, what its agent needs if it has one, and where
Libra comes from unless the image has it. The server's own users and processes can read all of this
from the metadata service as long as it lives, private keys included: give nodes certificates that
may do no more than a node.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2

from libra_common.settings import GearmanSettings, NovaSettings
from libra_pool_mgm.clouds.base import AgentWish
from libra_pool_mgm.clouds.errors import BadRequest

SETTINGS_FILE = "/etc/libra.cfg"
"""Where a node's settings are written."""

LIMIT = 65535
"""Bytes that nova accepts, in base64."""

_TLS_DIRECTORY = "/etc/libra/tls"
_TLS = ("ssl_key", "ssl_cert", "ssl_ca")
_AGENT_DIRECTORY = "/var/lib/libra/agent"
"""Not below /etc: the agent writes here when its certificate is exchanged."""

_AGENT_SETTINGS = "/etc/octavia/amphora-agent.conf"
_NETWORK = "amphora-haproxy"
"""The network namespace of traffic, as Octavia names it; the API is served outside of it."""

_USER = "libra"
"""Whom the units of an image with Libra run as."""

_UNITS = "/etc/systemd/system"
_WORKER, _AGENT = "libra-worker.service", "libra-amphora.service"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<rest>\s*(?:[<>=!~@;].*)?)")
_URL = re.compile(r"[a-z+]+://")
_UNIT = """\
[Unit]
Description=Libra {what}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=/opt/libra/bin/{program} --config-file {settings}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
KillMode=process
RuntimeDirectory=libra
RuntimeDirectoryPreserve=yes
StateDirectory=libra
LogsDirectory=libra
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, kw_only=True)
class _File:
    path: str
    text: str
    permissions: str = "0644"

    @property
    def content(self) -> str:
        return base64.b64encode(self.text.encode()).decode()


def user_data(
    name: str,
    *,
    gearman: GearmanSettings,
    nova: NovaSettings,
    agent: AgentWish | None = None,
) -> str:
    """Write the cloud-config of the node `name`.

    Reads the certificates anew each time, so that a renewed one goes to the next node. Raises
    BadRequest naming the setting where that cannot be done, or where it is too long for nova.
    """
    tls = _tls_files(gearman, nova)
    servers = nova.gearman_servers or gearman.servers
    settings = [
        "# Written at the first boot, by the pool manager that made this server.",
        "[gearman]",
        f"servers = {', '.join(str(server) for server in servers)}",
        *(f"{key} = {file.path}" for key, file in tls.items()),
        "[worker]",
        f"name = {name.replace('$', '$$')}",
        "",
    ]
    files = [_File(path=SETTINGS_FILE, text="\n".join(settings)), *tls.values()]
    if nova.package:
        files.append(_unit(_WORKER, "worker", "libra_worker", SETTINGS_FILE))
    if agent is not None:
        files += _agent_files(agent, netns=_NETWORK if nova.package else "")
        if nova.package:
            files.append(_unit(_AGENT, "amphora agent", "libra_amphora", _AGENT_SETTINGS))
    owned = [file.path for file in tls.values()]
    owned += [] if agent is None else [_AGENT_SETTINGS, _AGENT_DIRECTORY]
    text = _template().render(
        files=files,
        units=[_WORKER, *([] if agent is None else [_AGENT])],
        # The units of an image are no root's, and may read their own files alone.
        owned=[] if nova.package else owned,
        owner=_USER,
        package=nova.package if agent is None else with_extra(nova.package, "amphora"),
        index=["--index-url", nova.package_index] if nova.package_index else [],
    )
    if len(base64.b64encode(text.encode())) > LIMIT:
        what = "[mgm:nova] ssl_ca" if agent is None else "[mgm:nova] ssl_ca, agent"
        raise BadRequest(f"{what}: the user_data is longer than {LIMIT} bytes with it")
    return text


def with_extra(package: str, extra: str) -> str:
    """Name one more extra of what pip is to install: a requirement, or the URL of a wheel.

    A requirement that names extras already is the operator's own business, and stays as it is.
    """
    if not package:
        return ""
    if _URL.match(package):
        return f"libra[{extra}] @ {package}"
    found = _REQUIREMENT.fullmatch(package)
    return package if found is None else f"{found['name']}[{extra}]{found['rest']}"


def _unit(name: str, what: str, program: str, settings: str) -> _File:
    text = _UNIT.format(what=what, program=program, settings=settings)
    return _File(path=f"{_UNITS}/{name}", text=text)


def _agent_files(agent: AgentWish, *, netns: str) -> list[_File]:
    """All that the agent reads; its settings have a secret in them.

    Without a `netns` the image's own settings say where traffic lives.
    """
    certificate, ca = f"{_AGENT_DIRECTORY}/server.pem", f"{_AGENT_DIRECTORY}/ca.pem"
    settings = [
        "# Written at the first boot, by the pool manager that made this server.",
        "[amphora_agent]",
        f"amphora_id = {agent.amphora_id}",
        f"agent_server_cert = {certificate}",
        f"agent_server_ca = {ca}",
        "[haproxy_amphora]",
        f"bind_port = {agent.port}",
        "[health_manager]",
        f"controller_ip_port_list = {', '.join(agent.controllers)}",
        f"heartbeat_key = {agent.heartbeat_key.replace('$', '$$')}",
        *(["[libra_amphora]", f"netns = {netns}"] if netns else []),
        "",
    ]
    return [
        _File(path=_AGENT_SETTINGS, text="\n".join(settings), permissions="0600"),
        _File(path=certificate, text=agent.certificate, permissions="0600"),
        _File(path=ca, text=agent.ca),
    ]


def _tls_files(gearman: GearmanSettings, nova: NovaSettings) -> dict[str, _File]:
    paths = {key: getattr(nova, key) for key in _TLS}
    if not any(paths.values()):
        if gearman.ssl_key is not None:
            # The pool manager's own would let any node give itself out as the pool manager.
            raise BadRequest(
                "[mgm:nova] ssl_key, ssl_cert, ssl_ca: must be set, because [gearman] asks for TLS"
            )
        return {}
    return {
        key: _File(
            path=f"{_TLS_DIRECTORY}/{key}.pem",
            text=_read(key, path),
            permissions="0600" if key == "ssl_key" else "0644",
        )
        for key, path in paths.items()
    }


def _read(key: str, path: Path | None) -> str:
    if path is None:
        raise BadRequest(
            f"[mgm:nova] {key}: must be set too; key, certificate and CA belong together"
        )
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise BadRequest(f"[mgm:nova] {key} = {str(path)!r}: cannot be read: {error}") from None


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("libra_pool_mgm.clouds.nova"),
        autoescape=False,  # noqa: S701 - it is YAML, and `finalize` quotes
        finalize=json.dumps,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("user_data.yaml.j2")
