"""Octavia's objects as the API and octavia-lib hand them over, plain ones and drawn ones."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st
from octavia_lib.api.drivers import data_models


def new_id() -> str:
    return str(uuid.uuid4())


def member(**fields: Any) -> dict[str, Any]:
    """A member as a tree shows it; null is what Octavia gives for Unset."""
    return {
        "member_id": new_id(),
        "address": "127.0.0.1",
        "protocol_port": 80,
        "weight": 1,
        "admin_state_up": True,
        "backup": False,
        "name": "",
        "project_id": "p",
        "pool_id": None,
        "subnet_id": None,
        "monitor_address": None,
        "monitor_port": None,
        "vnic_type": "normal",
        **fields,
    }


def monitor(**fields: Any) -> dict[str, Any]:
    return {
        "healthmonitor_id": new_id(),
        "type": "HTTP",
        "delay": 5,
        "timeout": 3,
        "max_retries": 2,
        "max_retries_down": 3,
        "admin_state_up": True,
        "http_method": "GET",
        "url_path": "/",
        "expected_codes": "200",
        "http_version": None,
        "domain_name": None,
        "name": "",
        "project_id": "p",
        "pool_id": None,
        **fields,
    }


def pool(**fields: Any) -> dict[str, Any]:
    return {
        "pool_id": new_id(),
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "admin_state_up": True,
        "members": [],
        "healthmonitor": None,
        "session_persistence": None,
        "name": "",
        "description": "",
        "project_id": "p",
        "loadbalancer_id": None,
        "listener_id": None,
        "tls_enabled": False,
        "tls_versions": None,
        **fields,
    }


def listener(**fields: Any) -> dict[str, Any]:
    return {
        "listener_id": new_id(),
        "protocol": "HTTP",
        "protocol_port": 80,
        "admin_state_up": True,
        "connection_limit": -1,
        "default_pool_id": None,
        "default_pool": None,
        "l7policies": [],
        "insert_headers": {},
        "allowed_cidrs": None,
        "client_authentication": "NONE",
        "timeout_client_data": 50000,
        "timeout_member_connect": 5000,
        "timeout_member_data": 50000,
        "timeout_tcp_inspect": 0,
        "hsts_include_subdomains": False,
        "hsts_preload": False,
        "name": "",
        "description": "",
        "project_id": "p",
        "loadbalancer_id": None,
        **fields,
    }


def rule(**fields: Any) -> dict[str, Any]:
    return {
        "l7rule_id": new_id(),
        "type": "PATH",
        "compare_type": "STARTS_WITH",
        "key": None,
        "value": "/x",
        "invert": False,
        "admin_state_up": True,
        "l7policy_id": None,
        "project_id": "p",
        **fields,
    }


def policy(**fields: Any) -> dict[str, Any]:
    return {
        "l7policy_id": new_id(),
        "action": "REJECT",
        "position": 1,
        "admin_state_up": True,
        "listener_id": None,
        "redirect_pool_id": None,
        "redirect_url": None,
        "redirect_prefix": None,
        "redirect_http_code": None,
        "rules": [],
        "name": "",
        "description": "",
        "project_id": "p",
        **fields,
    }


def tree(
    listeners: list[dict[str, Any]], pools: list[dict[str, Any]], **fields: Any
) -> data_models.LoadBalancer:
    """A load balancer as `get_loadbalancer` gives it: a data model with dicts inside."""
    return data_models.LoadBalancer(
        **{
            "loadbalancer_id": new_id(),
            "vip_address": "127.0.0.1",
            "vip_subnet_id": new_id(),
            "vip_network_id": new_id(),
            "vip_port_id": new_id(),
            "vip_qos_policy_id": None,
            "vip_sg_ids": [],
            "additional_vips": [],
            "admin_state_up": True,
            "name": "",
            "description": None,
            "project_id": "p",
            "availability_zone": None,
            "flavor": {},
            "listeners": listeners,
            "pools": pools,
            **fields,
        }
    )


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "\n    server evil 192.0.2.9:1",
            "x\rlua-load /tmp/x",
            "a#b",
            "a b",
            "'; quit",
            '"${SECRET}"',
            "%[env(SECRET)]",
            "a\\",
            "\0",
            "é\u2028\u0085",
            "{{ 7 * 7 }}",
            "-f /etc/passwd",
            "a),lower",
            "",
        ]
    ),
    st.text(max_size=40),
)
"""Text of a customer's who means no good."""

_BOOLS = st.booleans()
_HOSTS = st.one_of(
    st.ip_addresses(v=4, network="198.18.0.0/15").map(str),
    st.ip_addresses(v=6, network="2001:db8::/32").map(str),
)
_PORTS = st.integers(1, 65535)


def _members() -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.builds(
        member,
        member_id=st.uuids().map(str),
        address=_HOSTS,
        protocol_port=_PORTS,
        weight=st.integers(0, 256),
        backup=_BOOLS,
        admin_state_up=_BOOLS,
        monitor_address=st.none() | _HOSTS,
        monitor_port=st.none() | _PORTS,
        name=HOSTILE,
        project_id=HOSTILE,
    )
    return st.lists(one, max_size=4)


def _monitors() -> st.SearchStrategy[dict[str, Any] | None]:
    version = st.sampled_from([(None, None), (1.0, None), (1.1, None), (1.1, "www.example.org")])
    return st.none() | st.builds(
        lambda version, **fields: monitor(
            http_version=version[0], domain_name=version[1], **fields
        ),
        version,
        type=st.sampled_from(["HTTP", "HTTPS", "PING", "TCP", "TLS-HELLO"]),
        delay=st.integers(1, 86400),
        timeout=st.integers(1, 86400),
        max_retries=st.integers(1, 10),
        max_retries_down=st.none() | st.integers(1, 10),
        admin_state_up=_BOOLS,
        http_method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "CONNECT", "TRACE", "PATCH"]),
        url_path=st.sampled_from(["/", "/a?b=c&d=%20", "/~x;y,(z)!$*+=:@", "/" + "a" * 500]),
        expected_codes=st.sampled_from(["200", "200,202", "200-204", "200, 301-304 ,404"]),
        name=HOSTILE,
    )


_STICKY = st.sampled_from(
    [
        None,
        {"type": "SOURCE_IP", "cookie_name": None, "persistence_timeout": None},
        {"type": "HTTP_COOKIE", "cookie_name": None},
        {"type": "APP_COOKIE", "cookie_name": "JSESSIONID.x-1"},
    ]
)


@st.composite
def trees(draw: st.DrawFn) -> data_models.LoadBalancer:
    """Any tree that Libra serves, with hostile text in every field that is for people."""
    listeners, pools = [], []
    for number in range(draw(st.integers(0, 3))):
        protocol = draw(st.sampled_from(["HTTP", "HTTPS", "TCP"]))
        fits = {"HTTP": ["HTTP", "PROXY", "PROXYV2"], "HTTPS": ["HTTPS", "TCP", "PROXY"]}
        sticky = draw(_STICKY)
        if protocol != "HTTP" and sticky and sticky["type"] != "SOURCE_IP":
            sticky = None
        behind = pool(
            pool_id=str(draw(st.uuids())),
            protocol=draw(st.sampled_from(fits.get(protocol, ["TCP", "HTTP", "HTTPS", "PROXYV2"]))),
            lb_algorithm=draw(st.sampled_from(["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP"])),
            members=draw(_members()),
            healthmonitor=draw(_monitors()),
            session_persistence=sticky,
            admin_state_up=draw(_BOOLS),
            name=draw(HOSTILE),
            description=draw(HOSTILE),
        )
        pools.append(behind)
        listeners.append(
            listener(
                listener_id=str(draw(st.uuids())),
                protocol=protocol,
                protocol_port=20000 + number,
                default_pool_id=behind["pool_id"] if draw(_BOOLS) else None,
                connection_limit=draw(st.sampled_from([-1, 1, 100000])),
                admin_state_up=draw(_BOOLS),
                timeout_client_data=draw(st.integers(1, 86400000)),
                timeout_tcp_inspect=draw(st.sampled_from([0, 1, 5000])),
                name=draw(HOSTILE),
                description=draw(HOSTILE),
            )
        )
    more = [{"ip_address": "2001:db8::7", "subnet_id": new_id()}] if draw(_BOOLS) else []
    return tree(
        listeners,
        pools,
        additional_vips=more,
        name=draw(HOSTILE),
        description=draw(HOSTILE),
        admin_state_up=draw(st.sampled_from([True, True, True, False])),
    )


TEXTS = (
    *(("listeners", name) for name in ("listener_id", "protocol", "default_pool_id")),
    *(("pools", name) for name in ("pool_id", "protocol", "lb_algorithm")),
    *(("members", name) for name in ("member_id", "address", "monitor_address", "subnet_id")),
    *(("members", name) for name in ("protocol_port", "weight")),
    *(("monitors", name) for name in ("healthmonitor_id", "type", "http_method", "url_path")),
    *(("monitors", name) for name in ("expected_codes", "domain_name", "http_version")),
    *(("sticky", name) for name in ("type", "cookie_name")),
    *(("tree", name) for name in ("loadbalancer_id", "vip_address")),
)
"""Every field of text that means something to a device, by the place where it stands."""


def spoilt(where: tuple[str, str], text: str) -> data_models.LoadBalancer:
    """A tree that is right but for one text."""
    place, field = where
    said = {name: {field: text} if place == name else {} for name, _ in TEXTS}
    sticky = {"type": "APP_COOKIE", "cookie_name": "c", **said["sticky"]}
    web_monitor = monitor(http_version=1.1, domain_name="www.example.org")
    behind = pool(
        pool_id="pool",
        members=[member(**said["members"])],
        healthmonitor={**web_monitor, **said["monitors"]},
        session_persistence=sticky,
    )
    behind |= said["pools"]
    front = listener(default_pool_id="pool", protocol_port=20000)
    front |= said["listeners"]
    return tree([front], [behind], **said["tree"])
