"""What Octavia asks for is read whole, or refused with the name of each field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from octavia_lib.api.drivers import data_models

from libra_octavia.model import Algorithm, MonitorType, PoolProtocol, Protocol, Sticky
from libra_octavia.objects import (
    Unsupported,
    read_listener,
    read_member,
    read_monitor,
    read_pool,
    read_vip,
)
from libra_octavia.objects.fields import merged
from libra_octavia.objects.load_balancer import check_flavor, check_zone
from libra_octavia.translate import servable, translate
from tests.support.octavia_trees import listener, member, monitor, pool, tree

Read = Callable[[object], object]


def refused(read: Read, source: object, field: str) -> str:
    """The reason for which exactly this field is refused."""
    with pytest.raises(Unsupported) as caught:
        read(source)
    assert [fault.field for fault in caught.value.faults] == [field]
    return caught.value.faults[0].why


def test_a_listener_of_only_required_fields_has_octavias_defaults() -> None:
    found = read_listener(data_models.Listener(listener_id="l", protocol="TCP", protocol_port=25))
    assert (found.enabled, found.connections, found.pool_id) == (True, None, None)
    assert (found.timeout_client, found.timeout_connect, found.timeout_member) == (
        50_000,
        5_000,
        50_000,
    )


def test_each_field_of_a_listener_is_read() -> None:
    found = read_listener(
        listener(
            listener_id="l",
            protocol="HTTPS",
            protocol_port=443,
            admin_state_up=False,
            default_pool_id="p",
            connection_limit=7,
            timeout_client_data=1,
            timeout_member_connect=2,
            timeout_member_data=3,
            timeout_tcp_inspect=4,
        )
    )
    assert (found.protocol, found.port, found.enabled) == (Protocol.HTTPS, 443, False)
    assert (found.pool_id, found.connections) == ("p", 7)
    times = (
        found.timeout_client,
        found.timeout_connect,
        found.timeout_member,
        found.timeout_inspect,
    )
    assert times == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", "GOPHER"),
        ("protocol_port", 0),
        ("protocol_port", "80"),
        ("protocol_port", True),
        ("connection_limit", 0),
        ("connection_limit", -2),
        ("timeout_client_data", 0),
        ("timeout_member_data", -1),
        ("insert_headers", {"X-Powered-By": "true"}),
        ("insert_headers", ["X-Forwarded-For"]),
        ("allowed_cidrs", ["192.0.2.0/33"]),
        ("client_authentication", "MANDATORY"),
        ("default_tls_container_ref", "ref"),
        ("sni_container_refs", ["ref"]),
        ("hsts_max_age", 10),
        ("admin_state_up", "yes"),
        ("listener_id", "a b"),
        ("a_field_of_tomorrow", 1),
    ],
)
def test_what_a_listener_cannot_have_is_refused_by_name(field: str, value: Any) -> None:
    assert refused(read_listener, listener(**{field: value}), field)


def test_each_field_of_a_pool_is_read() -> None:
    found = read_pool(
        pool(
            pool_id="p",
            protocol="PROXYV2",
            lb_algorithm="LEAST_CONNECTIONS",
            admin_state_up=False,
            session_persistence={"type": "APP_COOKIE", "cookie_name": "sid"},
            members=[member(member_id="m")],
            healthmonitor=monitor(healthmonitor_id="h"),
        )
    )
    assert (found.id, found.protocol, found.enabled) == ("p", PoolProtocol.PROXYV2, False)
    assert found.algorithm is Algorithm.LEAST_CONNECTIONS
    assert found.persistence is not None
    assert (found.persistence.type, found.persistence.cookie) == (Sticky.APP_COOKIE, "sid")
    assert [one.id for one in found.members] == ["m"]
    assert found.monitor is not None
    assert found.monitor.id == "h"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"protocol": "GOPHER"}, "protocol"),
        ({"lb_algorithm": "RANDOM"}, "lb_algorithm"),
        ({"tls_enabled": "yes"}, "tls_enabled"),
        (
            {"protocol": "TCP", "session_persistence": {"type": "HTTP_COOKIE"}},
            "session_persistence",
        ),
        ({"session_persistence": {"type": "MAGIC"}}, "session_persistence.type"),
        ({"session_persistence": {"type": "APP_COOKIE"}}, "session_persistence.cookie_name"),
        (
            {"session_persistence": {"type": "APP_COOKIE", "cookie_name": "a b"}},
            "session_persistence.cookie_name",
        ),
        (
            {"session_persistence": {"type": "HTTP_COOKIE", "cookie_name": "mine"}},
            "session_persistence.cookie_name",
        ),
        (
            {"session_persistence": {"type": "SOURCE_IP", "persistence_timeout": 5}},
            "session_persistence.persistence_timeout",
        ),
        ({"members": [member(weight=257)]}, "members.weight"),
        ({"healthmonitor": monitor(delay=0)}, "healthmonitor.delay"),
    ],
)
def test_what_a_pool_cannot_have_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    assert refused(read_pool, pool(**fields), named)


def test_options_of_tls_mean_nothing_to_a_pool_without_it() -> None:
    found = read_pool(
        pool(tls_enabled=False, tls_versions=["TLSv1.2"], tls_ciphers="x", tls_container_ref="ref")
    )
    assert found.tls is None


def test_each_field_of_a_member_is_read() -> None:
    found = read_member(
        member(
            member_id="m",
            address="2001:DB8:0::1",
            protocol_port=8080,
            weight=0,
            backup=True,
            admin_state_up=False,
            monitor_address="192.0.2.7",
            monitor_port=81,
            subnet_id="s",
        )
    )
    assert (found.id, found.address, found.port) == ("m", "2001:db8::1", 8080)
    assert (found.weight, found.backup, found.enabled) == (0, True, False)
    assert (found.monitor_address, found.monitor_port, found.subnet) == ("192.0.2.7", 81, "s")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "example.org"),
        ("address", "fe80::1%eth0"),
        ("address", "224.0.0.1"),
        ("address", None),
        ("protocol_port", 65536),
        ("weight", -1),
        ("backup", 1),
        ("monitor_address", "nowhere"),
        ("monitor_port", 0),
        ("vnic_type", "direct"),
        ("subnet_id", "../x"),
    ],
)
def test_what_a_member_cannot_have_is_refused_by_name(field: str, value: Any) -> None:
    assert refused(read_member, member(**{field: value}), field)


def test_each_field_of_a_monitor_is_read() -> None:
    found = read_monitor(
        monitor(
            healthmonitor_id="h",
            type="HTTPS",
            delay=9,
            timeout=8,
            max_retries=7,
            max_retries_down=6,
            admin_state_up=False,
            http_method="HEAD",
            url_path="/health?deep=1",
            expected_codes="200, 301-304",
            http_version=1.1,
            domain_name="www.example.org",
        )
    )
    assert (found.type, found.delay, found.timeout) == (MonitorType.HTTPS, 9, 8)
    assert (found.rise, found.fall, found.enabled) == (7, 6, False)
    assert (found.method, found.path) == ("HEAD", "/health?deep=1")
    assert found.codes == ((200, 200), (301, 304))
    assert (found.http_version, found.domain) == ("1.1", "www.example.org")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"type": "CARRIER-PIGEON"}, "type"),
        ({"delay": 0}, "delay"),
        ({"timeout": 0}, "timeout"),
        ({"max_retries": 11}, "max_retries"),
        ({"max_retries_down": 0}, "max_retries_down"),
        ({"http_method": "BREW"}, "http_method"),
        ({"url_path": "no-slash"}, "url_path"),
        ({"url_path": "/a b"}, "url_path"),
        ({"url_path": "/#x"}, "url_path"),
        ({"expected_codes": "abc"}, "expected_codes"),
        ({"expected_codes": "204-200"}, "expected_codes"),
        ({"http_version": 2.0}, "http_version"),
        ({"domain_name": "www.example.org"}, "domain_name"),
        ({"http_version": 1.1, "domain_name": "a b"}, "domain_name"),
    ],
)
def test_what_a_monitor_cannot_have_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    assert refused(read_monitor, monitor(**fields), named)


def test_a_load_balancer_serves_on_all_its_addresses() -> None:
    found = tree([], [], additional_vips=[{"ip_address": "2001:db8::7", "subnet_id": "s"}])
    assert read_vip(found)[1] == ("127.0.0.1", "2001:db8::7")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"vip_qos_policy_id": "q"}, "vip_qos_policy_id"),
        ({"vip_sg_ids": ["sg"]}, "vip_sg_ids"),
        ({"flavor": {"topology": "ACTIVE_STANDBY"}}, "flavor.topology"),
        ({"availability_zone": {"moon": "x"}}, "availability_zone.moon"),
    ],
)
def test_what_a_load_balancer_cannot_have_is_refused_by_name(
    fields: dict[str, Any], named: str
) -> None:
    assert refused(read_vip, tree([], [], **fields), named)


def test_flavors_and_zones_may_have_the_keys_that_are_offered_and_no_other() -> None:
    assert check_flavor({"topology": "SINGLE", "compute_flavor": "m1.small"}) == []
    assert check_flavor({"loadbalancer_topology": "SINGLE"}) == []
    assert check_zone({"compute_zone": "nova", "management_network": "n"}) == []
    faults = check_flavor(
        {"loadbalancer_topology": "ACTIVE_STANDBY", "compute_flavor": 5, "x": "y"}
    )
    assert sorted({fault.field for fault in faults}) == [
        "compute_flavor",
        "loadbalancer_topology",
        "x",
    ]


def test_every_fault_of_an_object_is_named_at_once() -> None:
    with pytest.raises(Unsupported) as caught:
        read_listener(listener(protocol="GOPHER", insert_headers={"a": "b"}, protocol_port=0))
    assert {fault.field for fault in caught.value.faults} == {
        "protocol",
        "insert_headers",
        "protocol_port",
    }


def test_an_update_leaves_what_it_does_not_name_and_null_takes_away() -> None:
    old = data_models.Pool(pool_id="p", protocol="HTTP", session_persistence={"type": "SOURCE_IP"})
    new = data_models.Pool(pool_id="p", lb_algorithm="SOURCE_IP", session_persistence=None)
    assert merged(old, new) == {"pool_id": "p", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP"}


def test_what_is_being_deleted_is_not_served_though_the_tree_still_shows_it() -> None:
    behind = pool(
        pool_id="p",
        members=[member(member_id="stays"), member(member_id="goes")],
        healthmonitor=monitor(healthmonitor_id="h"),
    )
    fronts = [
        listener(listener_id="l", default_pool_id="p"),
        listener(listener_id="leaving", protocol_port=81),
    ]
    found = translate(tree(fronts, [behind]), without={"goes", "h", "leaving"})
    assert [one.id for one in found.listeners] == ["l"]
    assert [one.id for one in found.pools[0].members] == ["stays"]
    assert found.pools[0].monitor is None
    # And a listener whose pool goes leads nowhere.
    (serving,) = translate(tree(fronts[:1], [behind]), without={"p"}).serving
    assert serving[1] is None


def test_what_is_down_does_not_serve() -> None:
    behind = pool(pool_id="p")
    up, down = listener(listener_id="up", default_pool_id="p"), listener(admin_state_up=False)
    assert [pair[0].id for pair in translate(tree([up, down], [behind])).serving] == ["up"]
    assert translate(tree([up], [behind], admin_state_up=False)).serving == ()
    ((_, pool_of_up),) = translate(tree([up], [behind | {"admin_state_up": False}])).serving
    assert pool_of_up is None


@pytest.mark.parametrize(
    ("front", "behind", "why"),
    [
        ({"protocol": "HTTP"}, {"protocol": "TCP"}, "cannot lead to"),
        ({"protocol": "HTTPS"}, {"protocol": "HTTP"}, "cannot lead to"),
        ({"protocol": "TCP"}, {"session_persistence": {"type": "HTTP_COOKIE"}}, "needs a listener"),
    ],
)
def test_combinations_that_cannot_be_served_are_refused(
    front: dict[str, Any], behind: dict[str, Any], why: str
) -> None:
    found = tree(
        [listener(default_pool_id="p", listener_id="l", **front)], [pool(pool_id="p", **behind)]
    )
    assert why in refused(translate, found, "listener l: default_pool_id")


def test_an_object_at_fault_keeps_no_other_from_being_served() -> None:
    behind = pool(
        pool_id="p", members=[member(member_id="good"), member(member_id="bad", weight=-1)]
    )
    cookies = pool(pool_id="cookies", session_persistence={"type": "HTTP_COOKIE"})
    fronts = [
        listener(listener_id="good", default_pool_id="p"),
        listener(listener_id="tls", protocol="TERMINATED_HTTPS", protocol_port=443),
        listener(listener_id="misfit", protocol="TCP", default_pool_id="cookies"),
    ]
    found = servable(tree(fronts, [behind, cookies]))
    assert [one.id for one in found.balancer.listeners] == ["good"]
    assert [one.id for one in found.balancer.pools[0].members] == ["good"]
    assert set(found.refused) == {"bad", "tls", "misfit"}
    # And what is at fault and being deleted is no fault any more.
    found = servable(tree(fronts, [behind, cookies]), without={"bad", "tls", "misfit"})
    assert found.refused == {}
