"""What a new server is told at its first boot, for cloud-init: to be a Libra node.

Its name, the gearman servers, its certificates, and where Libra comes from unless the image has
it. The server's own users and processes can read all of this from the metadata service as long
as it lives, the private key included: give nodes certificates that may do no more than a node.
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import jinja2

from libra_common.settings import GearmanSettings, NovaSettings
from libra_pool_mgm.clouds.errors import BadRequest

SETTINGS_FILE = "/etc/libra.cfg"
"""Where a node's settings are written."""

LIMIT = 65535
"""Bytes that nova accepts, in base64."""

_TLS_DIRECTORY = "/etc/libra/tls"
_TLS = ("ssl_key", "ssl_cert", "ssl_ca")
_UNIT_FILE = "/etc/systemd/system/libra-worker.service"
_UNIT = """\
[Unit]
Description=Libra worker
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=/opt/libra/bin/libra_worker --config-file {settings}
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


def user_data(name: str, *, gearman: GearmanSettings, nova: NovaSettings) -> str:
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
        files.append(_File(path=_UNIT_FILE, text=_UNIT.format(settings=SETTINGS_FILE)))
    text = _template().render(
        files=files,
        package=nova.package,
        index=["--index-url", nova.package_index] if nova.package_index else [],
    )
    if len(base64.b64encode(text.encode())) > LIMIT:
        raise BadRequest(f"[mgm:nova] ssl_ca: the user_data is longer than {LIMIT} bytes with it")
    return text


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
