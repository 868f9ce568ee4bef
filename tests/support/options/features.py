"""Octavia's feature matrix: its features, what shows that Libra has them, and Octavia's own driver.

The features are those of Octavia's documents (user/feature-classification), a file for each kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.options import OPTIONS
from tests.support.options.registry import Option

CHAIN = "tests/integration/octavia/test_chain.py::"
UPWARD = "tests/integration/octavia/test_upward.py::"


@dataclass(frozen=True)
class Feature:
    """One feature of a matrix.

    `options` are those of the table that make it up. Else it is shown by the test `by`, or it is
    Octavia's API alone (neither); `missing` is why Libra does not have it.
    """

    key: str
    status: str = "optional"
    options: tuple[str, ...] = ()
    by: str = ""
    missing: str = ""
    note: str = ""
    amphora: str = "complete"


def _of(prefix: str, *words: str, **others: str) -> Iterator[Feature]:
    """Features that have the words of one option behind their names."""
    for word in words:
        yield Feature(f"{prefix}.{word}", options=(f"{prefix} {word}",), **others)


def _same(*names: str, status: str = "optional") -> Iterator[Feature]:
    """Features that are called as their options."""
    for name in names:
        yield Feature(name, status, options=(name,))


def _named() -> Iterator[Feature]:
    """What Octavia's API keeps, and no provider looks at."""
    for name in ("description", "name", "tags"):
        yield Feature(name)


_SSL = (
    *("X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN"),
    *("X-SSL-Issuer", "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before", "X-SSL-Client-Not-After"),
)
_FLAVORS = "tests/integration/octavia/test_driver.py::test_flavors_and_zones_that_are_offered"

MATRICES: dict[str, tuple[Feature, ...]] = {
    "lb": (
        *_same("admin_state_up", status="mandatory"),
        Feature(
            "availability_zone",
            by=f"{_FLAVORS}_are_valid",
            note="Devices are built in compute_zone; management_network is the pool manager's.",
        ),
        Feature(
            "flavor",
            by=f"{_FLAVORS}_are_valid",
            note="topology (SINGLE alone) and compute_flavor.",
        ),
        *_named(),
        Feature(
            "stats",
            "mandatory",
            by=f"{UPWARD}test_statistics_at_the_api_are_the_traffic_whatever_is_lost_or_started_anew",
        ),
        Feature(
            "status",
            "mandatory",
            by=f"{UPWARD}test_a_member_that_dies_is_an_error_at_the_api_and_the_last_one_of_all",
        ),
        *(
            Feature(name, by=f"{CHAIN}test_a_whole_graph_serves_and_is_deleted_without_a_trace")
            for name in ("vip_address", "vip_network_id", "vip_port_id", "vip_subnet_id")
        ),
        Feature("vip_qos_policy_id", options=("vip_qos_policy_id",)),
    ),
    "listener": (
        *_same("admin_state_up", status="mandatory"),
        Feature("allowed_cidr", options=("allowed_cidrs",)),
        Feature("alpn_protocol", options=("alpn_protocols",)),
        Feature(
            "client_authentication",
            options=tuple(f"client_authentication {m}" for m in ("NONE", "OPTIONAL", "MANDATORY")),
        ),
        *_same("client_ca_tls_container_ref", "client_crl_container_ref", "connection_limit"),
        *_same("default_tls_container_ref"),
        *_of("insert_headers", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", *_SSL),
        *_named(),
        *_of("protocol", "HTTP", "HTTPS", "TCP", "TERMINATED_HTTPS", "UDP", "SCTP", "PROMETHEUS"),
        *_same("protocol_port", status="mandatory"),
        *_same("sni_container_refs"),
        Feature(
            "stats",
            "mandatory",
            by=f"{UPWARD}test_statistics_at_the_api_are_the_traffic_whatever_is_lost_or_started_anew",
        ),
        *_same("timeout_client_data", "timeout_member_connect"),
        Feature("timeout-member-data", options=("timeout_member_data",)),
        Feature("timeout-tcp-inspect", options=("timeout_tcp_inspect",)),
        *_same("tls_ciphers", "tls_versions"),
    ),
    "pool": (
        *_same("admin_state_up", status="mandatory"),
        Feature("alpn_protocol", options=("alpn_protocols",)),
        *_same("ca_tls_container_ref", "crl_container_ref"),
        *_of("lb_algorithm", "LEAST_CONNECTIONS", "ROUND_ROBIN", "SOURCE_IP"),
        *_of("lb_algorithm", "SOURCE_IP_PORT", amphora="missing"),
        *_named(),
        *_of("protocol", "HTTP", "HTTPS", "PROXY", "PROXYV2", "TCP", "UDP", "SCTP"),
        *_of("session_persistence", "APP_COOKIE", "cookie_name", "HTTP_COOKIE"),
        *_of("session_persistence", "persistence_timeout", "persistence_granularity", "SOURCE_IP"),
        *_same("tls_ciphers", "tls_container_ref", "tls_enabled", "tls_versions"),
    ),
    "member": (
        *_same("admin_state_up", "address", status="mandatory"),
        *_same("backup"),
        Feature(
            "batch",
            "mandatory",
            by=f"{CHAIN}test_members_come_and_go_without_a_lost_request",
        ),
        *_same("monitor_address", "monitor_port"),
        Feature("name"),
        *_same("protocol_port", status="mandatory"),
        Feature(
            "subnet_id",
            by=f"{CHAIN}test_a_subnet_of_members_gives_the_device_a_port_that_goes_with_its_last_member",
        ),
        Feature("tags"),
        *_same("weight"),
    ),
    "healthmonitor": (
        *_same("admin_state_up", "delay", status="mandatory"),
        *_same("domain_name", "expected_codes", "http_method", "http_version"),
        Feature("name"),
        *_same("max_retries", status="mandatory"),
        *_same("max_retries_down"),
        Feature("tags"),
        *_same("timeout", status="mandatory"),
        *_of("type", "HTTP", "HTTPS"),
        *_of("type", "PING", amphora="partial"),
        *_of("type", "TCP", "TLS-HELLO", "UDP-CONNECT", "SCTP"),
        *_same("url_path"),
    ),
    "l7policy": (
        *_of("action", "REDIRECT_TO_POOL"),
        Feature("action.REDIRECT_TO_PREFIX", options=("action REDIRECT_PREFIX",)),
        *_of("action", "REDIRECT_TO_URL", "REJECT"),
        *_same("admin_state_up", status="mandatory"),
        Feature("description"),
        Feature("name"),
        *_same("position", "redirect_http_code", "redirect_pool_id"),
        *_same("redirect_prefix", "redirect_url"),
        Feature("tags"),
    ),
    "l7rule": (
        *_same("admin_state_up", status="mandatory"),
        *_of("compare_type", "CONTAINS", "ENDS_WITH", "EQUAL_TO", "REGEX", "STARTS_WITH"),
        *_same("invert", "key"),
        Feature("tags"),
        *_of("type", "COOKIE", "FILE_TYPE", "HEADER", "HOST_NAME", "PATH"),
        *_of("type", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD"),
        *_same("value", status="mandatory"),
    ),
}
"""The matrices by the names of their files."""

KIND_OF = {
    "lb": "load balancer",
    "listener": "listener",
    "pool": "pool",
    "member": "member",
    "healthmonitor": "health monitor",
    "l7policy": "L7 policy",
    "l7rule": "L7 rule",
}


def options_of(matrix: str, feature: Feature) -> list[Option]:
    """The options that make up a feature; all of them must be in the table."""
    found = {one.name: one for one in OPTIONS if one.kind == KIND_OF[matrix]}
    return [found[name] for name in feature.options]


def judged(matrix: str, feature: Feature) -> tuple[str, str]:
    """The word for a feature, and what is to be said of it."""
    options = options_of(matrix, feature)
    unserved = [one for one in options if one.proof is None and not one.by]
    if feature.missing or unserved:
        return "missing", feature.missing or unserved[0].note
    notes = " ".join(dict.fromkeys(one.note for one in options if one.note)) or feature.note
    return ("partial", notes) if notes else ("complete", "")
