"""What a new node is told by its user_data."""

from __future__ import annotations

import base64
import configparser
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from libra_amphora.conf import read as read_agent_settings
from libra_common.settings import HostPort, Settings
from libra_pool_mgm.clouds.base import AgentWish
from libra_pool_mgm.clouds.errors import BadRequest
from libra_pool_mgm.clouds.nova.userdata import user_data, with_extra
from tests.unit.pool.things import NAME


def files_of(text: str) -> dict[str, str]:
    config = yaml.safe_load(text)
    return {one["path"]: base64.b64decode(one["content"]).decode() for one in config["write_files"]}


def test_a_node_is_told_its_name_and_its_job_servers(settings: Settings) -> None:
    # Given job servers that nodes reach by another address
    nova = replace(
        settings.nova, gearman_servers=(HostPort("192.0.2.1", 4730), HostPort("2001:db8::1", 4731))
    )

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=nova)

    # Then it is a cloud-config whose settings file a worker can read
    assert text.startswith("#cloud-config\n")
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(files_of(text)["/etc/libra.cfg"])
    assert parsed["worker"]["name"] == NAME
    assert parsed["gearman"]["servers"] == "192.0.2.1:4730, [2001:db8::1]:4731"


def test_an_image_that_has_libra_is_only_told_to_start_it(settings: Settings) -> None:
    config = yaml.safe_load(user_data(NAME, gearman=settings.gearman, nova=settings.nova))
    assert "packages" not in config
    assert all("pip" not in json.dumps(command) for command in config["runcmd"])
    assert ["systemctl", "enable", "libra-worker.service"] in config["runcmd"]


def test_libra_comes_from_the_package_source_of_the_settings(settings: Settings) -> None:
    # Given a package and an index, the package with what a shell or YAML would mind
    nova = replace(
        settings.nova, package="libra[x] @ https://p.example/a.whl#: '\"", package_index="https://i"
    )

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=nova)

    # Then pip is called with just these words, and there is a unit to start
    commands = yaml.safe_load(text)["runcmd"]
    assert [
        "/opt/libra/bin/pip", "install", "--no-input", "--index-url", "https://i", nova.package
    ] in commands  # fmt: skip
    assert "libra_worker" in files_of(text)["/etc/systemd/system/libra-worker.service"]


def test_a_node_gets_certificates_of_its_own(settings: Settings, tmp_path: Path) -> None:
    # Given a node's certificates
    paths: dict[str, Any] = {key: tmp_path / key for key in ("ssl_key", "ssl_cert", "ssl_ca")}
    for name, path in paths.items():
        path.write_text(f"-----BEGIN {name}-----\n")

    # When user_data is written
    text = user_data(NAME, gearman=settings.gearman, nova=replace(settings.nova, **paths))

    # Then they are there, the key for root alone, and the settings name them
    config = yaml.safe_load(text)
    permissions = {one["path"]: one["permissions"] for one in config["write_files"]}
    files = files_of(text)
    assert files["/etc/libra/tls/ssl_key.pem"] == "-----BEGIN ssl_key-----\n"
    assert permissions["/etc/libra/tls/ssl_key.pem"] == "0600"
    assert "ssl_key = /etc/libra/tls/ssl_key.pem" in files["/etc/libra.cfg"]


def test_the_pool_manager_s_own_key_is_never_given_away(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_text("secret of the pool manager")
    gearman = replace(settings.gearman, ssl_key=own, ssl_cert=own, ssl_ca=own)
    with pytest.raises(BadRequest, match=r"\[mgm:nova\] ssl_key, ssl_cert, ssl_ca"):
        user_data(NAME, gearman=gearman, nova=settings.nova)


def test_a_certificate_that_cannot_be_read_is_named(settings: Settings, tmp_path: Path) -> None:
    nova = replace(
        settings.nova, ssl_key=tmp_path / "no", ssl_cert=tmp_path / "no", ssl_ca=tmp_path / "no"
    )
    with pytest.raises(BadRequest, match=r"\[mgm:nova\] ssl_key = .*no'"):
        user_data(NAME, gearman=settings.gearman, nova=nova)


def test_user_data_that_nova_would_refuse_is_refused_here(
    settings: Settings, tmp_path: Path
) -> None:
    long = tmp_path / "long.pem"
    long.write_text("x" * 40000)
    nova = replace(settings.nova, ssl_key=long, ssl_cert=long, ssl_ca=long)
    with pytest.raises(BadRequest, match="65535"):
        user_data(NAME, gearman=settings.gearman, nova=nova)


AGENT = AgentWish(
    amphora_id="6e2bc8a0-2548-4fb7-a5f0-fb1ef4a696ce",
    certificate="-----BEGIN PRIVATE KEY-----\n",
    ca="-----BEGIN CERTIFICATE-----\n",
    heartbeat_key="$ecret#=%key",
    controllers=("192.0.2.9:5555", "[2001:db8::9]:5555"),
    port=9444,
)


def test_a_node_with_an_agent_is_told_what_that_needs_and_nobody_else_may_read_it(
    settings: Settings, tmp_path: Path
) -> None:
    # When user_data is written for an image that has Libra
    text = user_data(NAME, gearman=settings.gearman, nova=settings.nova, agent=AGENT)
    config, files = yaml.safe_load(text), files_of(text)
    # Then the agent's settings are such that it reads them as they were meant
    path = tmp_path / "agent.conf"
    path.write_text(files["/etc/octavia/amphora-agent.conf"])
    told = read_agent_settings([path])
    assert told.agent.amphora_id == AGENT.amphora_id
    assert told.health.heartbeat_key == AGENT.heartbeat_key
    assert tuple(map(str, told.health.controller_ip_port_list)) == AGENT.controllers
    assert (told.haproxy.bind_port, told.own.netns) == (9444, "")
    assert files[str(told.agent.agent_server_cert)] == AGENT.certificate
    assert files[str(told.agent.agent_server_ca)] == AGENT.ca
    # And secrets are for one user alone, whom the image's unit runs as
    permissions = {one["path"]: one["permissions"] for one in config["write_files"]}
    for secret in ("/etc/octavia/amphora-agent.conf", str(told.agent.agent_server_cert)):
        assert permissions[secret] == "0600"
    assert ["systemctl", "enable", "libra-amphora.service"] in config["runcmd"]
    (chown,) = [one for one in config["runcmd"] if one[0] == "chown"]
    assert chown[2:] == ["libra", "/etc/octavia/amphora-agent.conf", "/var/lib/libra/agent"]


def test_a_node_that_installs_libra_installs_what_the_agent_needs(settings: Settings) -> None:
    nova = replace(settings.nova, package="libra==1.0")
    text = user_data(NAME, gearman=settings.gearman, nova=nova, agent=AGENT)
    assert ["/opt/libra/bin/pip", "install", "--no-input", "libra[amphora]==1.0"] in (
        yaml.safe_load(text)["runcmd"]
    )
    files = files_of(text)
    assert "libra_amphora --config" in files["/etc/systemd/system/libra-amphora.service"]
    assert "netns = amphora-haproxy" in files["/etc/octavia/amphora-agent.conf"]


@pytest.mark.parametrize(
    ("package", "with_it"),
    [
        ("", ""),
        ("libra", "libra[amphora]"),
        ("libra>=1,<2", "libra[amphora]>=1,<2"),
        ("libra ; python_version>'3'", "libra[amphora] ; python_version>'3'"),
        ("libra @ https://p.example/a.whl", "libra[amphora] @ https://p.example/a.whl"),
        ("https://p.example/a.whl", "libra[amphora] @ https://p.example/a.whl"),
        ("libra[amphora,x]==1", "libra[amphora,x]==1"),
    ],
)
def test_one_more_extra_is_named_in_whatever_pip_takes(package: str, with_it: str) -> None:
    assert with_extra(package, "amphora") == with_it


def test_no_agents_secret_is_shown_by_what_holds_it() -> None:
    assert AGENT.heartbeat_key not in repr(AGENT)
    assert "PRIVATE KEY" not in repr(AGENT)
