"""One authenticated session for all calls to an OpenStack cloud, with a timeout on each.

Where the cloud is comes from clouds.yaml (the modern way) or from `[mgm] nova_auth_url` and its
like (the original's); both end in the same session, which novaclient and openstacksdk share. It
logs in when it is first used, and again whenever its token is refused.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any
from urllib.parse import urlsplit

import openstack
import requests
from keystoneauth1 import exceptions as keystone
from keystoneauth1.session import Session
from novaclient import client as nova_client
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.connection import Connection

from libra_common.errors import SettingsError
from libra_common.settings import MgmSettings, NovaSettings

LOG = logging.getLogger(__name__)

MICROVERSION = "2.1"
"""Of nova's API: all that is needed has been there since the first one."""

# novaclient writes lists of all it sees into the home directory, for the completion of shells.
os.environ.setdefault("NOVACLIENT_UUID_CACHE_DIR", os.devnull)


class LoggedSession(Session):
    """Logs each call in one line, with its request id and without its body.

    Bodies hold passwords, tokens and, in user_data, private keys: the clients' own debug lines,
    which show them, are switched off.
    """

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Send one request; as the base class, which says what is raised."""
        kwargs["log"] = False
        began = time.monotonic()
        status, request_id = "no answer", ""
        try:
            response = super().request(url, method, *args, **kwargs)
            status = str(response.status_code)
            request_id = response.headers.get("x-openstack-request-id", "")
        except keystone.HttpError as error:
            status, request_id = str(error.http_status), error.request_id or ""
            raise
        else:
            return response
        finally:
            LOG.debug(
                "%s %s %s: %s in %.0f ms, request id %s",
                (kwargs.get("endpoint_filter") or {}).get("service_type", "keystone"),
                method,
                urlsplit(url).path,
                status,
                (time.monotonic() - began) * 1000,
                request_id or "none",
            )


def cloud_region(mgm: MgmSettings, nova: NovaSettings) -> CloudRegion:
    """Say which cloud it is and how to log in; reads files and connects to nothing.

    Raises SettingsError, naming the setting, where that is not told or clouds.yaml is wrong.
    """
    files = [str(nova.clouds_file)] if nova.clouds_file else None
    common: dict[str, Any] = {"api_timeout": float(mgm.cloud_timeout)}
    if mgm.nova_bypass_url:
        common["compute_endpoint_override"] = mgm.nova_bypass_url
    named = nova.os_cloud or ("" if mgm.nova_auth_url else os.environ.get("OS_CLOUD", ""))
    where = f"[mgm:nova] os_cloud = {named!r}" if named else "[mgm] nova_auth_url"
    try:
        if named:
            config = OpenStackConfig(config_files=files, session_constructor=LoggedSession)
            return config.get_one(cloud=named, **common)
        config = OpenStackConfig(
            load_yaml_config=False, load_envvars=False, session_constructor=LoggedSession
        )
        return config.get_one(**_login(mgm, nova), **common)
    except (openstack.exceptions.ConfigException, keystone.ClientException) as error:
        raise SettingsError(f"{where}: {error}") from None


def _login(mgm: MgmSettings, nova: NovaSettings) -> dict[str, Any]:
    """The original's settings, as openstacksdk takes them."""
    if not mgm.nova_auth_url:
        raise SettingsError(
            "[mgm:nova] os_cloud: must name an entry of clouds.yaml (so may OS_CLOUD in the"
            " environment), or [mgm] nova_auth_url must be set"
        )
    project = (
        {"project_id": mgm.nova_tenant_id}
        if mgm.nova_tenant_id
        else {"project_name": mgm.nova_tenant, "project_domain_id": nova.domain}
    )
    return {
        "auth_type": "password",
        "auth": {
            # Settings of the original's time name a version that no keystone has any more.
            "auth_url": re.sub(r"/v2\.0/?$", "", mgm.nova_auth_url),
            "username": mgm.nova_user,
            "password": mgm.nova_pass,
            "user_domain_id": nova.domain,
            **project,
        },
        "region_name": mgm.nova_region or None,
        "verify": not mgm.nova_insecure,
    }


def connection(region: CloudRegion) -> Connection:
    """Openstacksdk on the region's session.

    Strict, since otherwise a service that was away at its first use would stay known by the
    address in the catalogue, which is none to speak to.
    """
    return Connection(config=region, strict_proxies=True)


def nova(region: CloudRegion) -> Any:
    """python-novaclient on the region's session; it comes without types."""
    return nova_client.Client(
        MICROVERSION,
        session=region.get_session(),
        region_name=region.get_region_name("compute") or None,
        endpoint_type=region.get_interface("compute") or "public",
        endpoint_override=region.get_endpoint("compute"),
    )
