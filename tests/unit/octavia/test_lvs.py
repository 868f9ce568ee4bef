"""UDP and SCTP: what may be asked for, and keepalived's file as a device reads it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora import lvs_config
from libra_amphora.lvs_config import LvsConfig
from libra_octavia import ip_vs, lvs_words
from libra_octavia.model import Algorithm, MonitorType, PoolProtocol, Protocol
from libra_octavia.objects import Unsupported, read_listener, read_monitor, read_pool
from libra_octavia.objects.lvs import MOST_CHECK_SECONDS
from libra_octavia.render import Place, render
from libra_octavia.render_lvs import render_lvs
from libra_octavia.translate import servable, translate
from tests.support.octavia_trees import HOSTILE, listener, member, monitor, pool, spoilt, tree

LB = "85e2111b-29c4-44be-94f3-e72045805801"
FRONT = listener(listener_id="l", protocol="UDP", protocol_port=53, default_pool_id="p")


def udp(**fields: Any) -> dict[str, Any]:
    return pool(**{"pool_id": "p", "protocol": "UDP", "healthmonitor": None, **fields})


def text(behind: dict[str, Any], front: dict[str, Any] = FRONT, **fields: Any) -> str:
    """The file of the one listener."""
    found = translate(tree([front], [behind], loadbalancer_id=LB, **fields))
    return render_lvs(found)[front["listener_id"]]


def read(found: str) -> LvsConfig:
    """The file as a device has it."""
    return lvs_config.read(found.encode())


def refused(read: Callable[[object], object], source: object) -> dict[str, str]:
    with pytest.raises(Unsupported) as caught:
        read(source)
    return {fault.field: fault.why for fault in caught.value.faults}


# -- what may be asked for ------------------------------------------------------------------------


def test_listeners_pools_and_monitors_of_both_are_read() -> None:
    for word in ("UDP", "SCTP"):
        assert read_listener(FRONT | {"protocol": word}).protocol is Protocol(word)
        assert read_pool(udp(protocol=word)).protocol is PoolProtocol(word)
    for word in ("UDP-CONNECT", "SCTP"):
        assert read_monitor(monitor(type=word)).type is MonitorType(word)


@pytest.mark.parametrize(
    ("mask", "granularity"),
    [
        (None, None),
        ("255.255.255.0", (4, 24)),
        ("255.255.255.255", (4, 32)),
        ("128.0.0.0", (4, 1)),
        ("ffff:ffff:ffff:ffff::", (6, 64)),
    ],
)
def test_how_clients_stay_is_read(mask: str | None, granularity: tuple[int, int] | None) -> None:
    stay = {"type": "SOURCE_IP", "persistence_timeout": 60, "persistence_granularity": mask}
    found = read_pool(udp(session_persistence=stay)).persistence
    assert found is not None
    assert (found.timeout, found.granularity) == (60, granularity)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tls_enabled": True}, "tls_enabled"),
        ({"session_persistence": {"type": "HTTP_COOKIE"}}, "session_persistence"),
        *(
            (
                {"session_persistence": {"type": "SOURCE_IP", name: value}},
                f"session_persistence.{name}",
            )
            for name, values in (
                ("persistence_timeout", (0, -1, "5", 31 * 86400 + 1)),
                ("persistence_granularity", ("0.0.0.0", "255.0.255.0", "0.0.0.255", "/24", 24)),
            )
            for value in values
        ),
        ({"healthmonitor": monitor(type="PING")}, "healthmonitor.type"),
        ({"healthmonitor": monitor(type="HTTPS")}, "healthmonitor.type"),
        ({"healthmonitor": monitor(http_method="HEAD")}, "healthmonitor.http_method"),
        ({"healthmonitor": monitor(url_path="/$x")}, "healthmonitor.url_path"),
        ({"healthmonitor": monitor(url_path="/!x")}, "healthmonitor.url_path"),
        ({"healthmonitor": monitor(type="TCP", timeout=4294)}, "healthmonitor.timeout"),
        ({"healthmonitor": monitor(type="UDP-CONNECT", timeout=4294)}, "healthmonitor.timeout"),
    ],
)
def test_what_a_pool_of_udp_cannot_have_is_refused_by_name(
    fields: dict[str, Any], named: str
) -> None:
    assert named in refused(read_pool, udp(**fields))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"healthmonitor": monitor(type="UDP-CONNECT")}, "healthmonitor.type"),
        ({"healthmonitor": monitor(type="SCTP")}, "healthmonitor.type"),
        *(
            (
                {"session_persistence": {"type": "SOURCE_IP", name: value}},
                f"session_persistence.{name}",
            )
            for name, value in (
                ("persistence_timeout", 60),
                ("persistence_granularity", "255.255.255.0"),
            )
        ),
    ],
)
def test_what_is_for_udp_and_sctp_alone_is_refused_elsewhere(
    fields: dict[str, Any], named: str
) -> None:
    assert list(refused(read_pool, udp(protocol="TCP", **fields))) == [named]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"allowed_cidrs": ["192.0.2.0/24"]}, "allowed_cidrs"),
        ({"default_tls_container_ref": "ref"}, "default_tls_container_ref"),
        ({"insert_headers": {"X-Forwarded-For": "true"}}, "insert_headers"),
    ],
)
def test_what_a_listener_of_udp_cannot_have_is_refused_by_name(
    fields: dict[str, Any], named: str
) -> None:
    assert [name.partition(".")[0] for name in refused(read_listener, FRONT | fields)] == [named]


def test_members_that_ip_vs_cannot_have_are_left_out_with_their_reason() -> None:
    # Given members of another family than the address, and spare ones
    good = member(member_id="good", address="192.0.2.1")
    other = member(member_id="other", address="2001:db8::1")
    spare = member(member_id="spare", address="192.0.2.2", backup=True)
    # When it is read
    found = servable(tree([FRONT], [udp(members=[good, other, spare])]))
    # Then the good one is served
    (behind,) = found.balancer.pools
    assert [one.id for one in behind.members] == ["good"]
    assert {name: error.faults[0].field for name, error in found.refused.items()} == {
        "other": "address",
        "spare": "backup",
    }
    # And other pools have both
    whole = servable(tree([], [pool(members=[good, other, spare])]))
    assert not whole.refused


def test_a_monitor_that_cannot_watch_its_members_is_left_out_with_its_reason() -> None:
    found = servable(tree([FRONT], [udp(healthmonitor=monitor(healthmonitor_id="h", type="PING"))]))
    assert [pool.monitor for pool in found.balancer.pools] == [None]
    assert "not possible for pools of UDP" in str(found.refused["h"])


@pytest.mark.parametrize(("front", "behind"), [("UDP", "TCP"), ("TCP", "UDP"), ("UDP", "SCTP")])
def test_listeners_lead_to_pools_of_their_own_protocol_alone(front: str, behind: str) -> None:
    found = servable(tree([FRONT | {"protocol": front}], [udp(protocol=behind)]))
    assert [error.faults[0].field for error in found.refused.values()] == ["default_pool_id"]


def test_objects_that_need_ip_vs_are_told_apart() -> None:
    plain = translate(tree([listener()], [pool()]))
    assert not ip_vs.needs(plain)
    ip_vs.refuse(plain, "anything")
    both = translate(tree([FRONT], [udp(healthmonitor=monitor(type="UDP-CONNECT"))]))
    with pytest.raises(Unsupported) as caught:
        ip_vs.refuse(both, ip_vs.NO_IP_VS)
    assert [fault.field for fault in caught.value.faults] == [
        "listener l: protocol",
        "pool p: protocol",
    ]
    assert ip_vs.needs(read_monitor(monitor(type="SCTP")))
    assert not ip_vs.needs(read_monitor(monitor(type="TCP")))


def test_a_device_waits_an_hour_for_an_association_and_no_longer() -> None:
    found = read(text(udp(members=[member()], healthmonitor=monitor(type="SCTP", timeout=3600))))
    assert found.checked
    assert "timeout" in refused(read_monitor, monitor(type="SCTP", timeout=3601))


# -- the file -------------------------------------------------------------------------------------


def test_a_device_reads_what_was_asked_for() -> None:
    # Given a pool with members of both families
    members = [
        member(member_id="a", address="192.0.2.1", protocol_port=1053, weight=5),
        member(member_id="b", address="2001:db8::1", protocol_port=1053),
        member(member_id="c", address="192.0.2.2", admin_state_up=False),
    ]
    watch = monitor(type="UDP-CONNECT", delay=7, timeout=2, max_retries_down=4)
    # When it is written
    said = text(
        udp(members=members, healthmonitor=watch),
        FRONT | {"connection_limit": 9},
        vip_address="203.0.113.2",
        additional_vips=[{"ip_address": "2001:db8::7", "subnet_id": "s"}],
    )
    found = read(said)
    # Then all is there
    assert (found.balancer, found.pool, found.disabled) == (LB, "p", ("c",))
    assert found.checked
    assert found.enabled
    four, six = found.services
    assert {four.protocol, six.protocol} == {"UDP"}
    assert four.places == ((ipaddress.ip_address("203.0.113.2"), 53),)
    assert six.places == ((ipaddress.ip_address("2001:db8::7"), 53),)
    assert [(one.id, one.weight) for one in four.servers] == [("a", 5)]
    assert [(one.id, one.weight) for one in six.servers] == [("b", 1)]
    for line in (
        "lb_algo wrr",
        "delay_loop 7",
        "delay_before_retry 7",
        "retry 3",
        "uthreshold 9",
        'misc_path "/var/lib/octavia/lvs/check/udp_check.sh 192.0.2.1 1053"',
        "misc_timeout 3",
    ):
        assert f"{line}\n" in said


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        (Algorithm.ROUND_ROBIN, ["lb_algo wrr"]),
        (Algorithm.LEAST_CONNECTIONS, ["lb_algo wlc"]),
        (Algorithm.SOURCE_IP, ["lb_algo sh"]),
        (Algorithm.SOURCE_IP_PORT, ["lb_algo sh", "sh-port"]),
    ],
)
def test_each_algorithm_is_one_of_ip_vss(algorithm: Algorithm, words: list[str]) -> None:
    said = text(udp(lb_algorithm=algorithm, members=[member()]))
    lines = [line.strip() for line in said.splitlines()]
    assert [line for line in lines if line.startswith(("lb_algo", "sh-"))] == words


def test_clients_stay_by_networks_of_their_own_family() -> None:
    both: dict[str, Any] = {
        "vip_address": "203.0.113.2",
        "additional_vips": [{"ip_address": "2001:db8::7", "subnet_id": "s"}],
    }
    members = [member(address="192.0.2.1"), member(address="2001:db8::1")]
    for mask, seconds, masks in (
        (None, None, ["255.255.255.255", "128"]),
        ("255.255.0.0", 60, ["255.255.0.0", "128"]),
        ("ffff:ffff::", 60, ["255.255.255.255", "32"]),
    ):
        stay = {
            "type": "SOURCE_IP",
            "persistence_timeout": seconds,
            "persistence_granularity": mask,
        }
        lines = text(udp(members=members, session_persistence=stay), **both).splitlines()
        found = [line.split()[1] for line in lines if "persistence_granularity" in line]
        assert found == masks
        assert {line.split()[1] for line in lines if "persistence_timeout" in line} == {
            str(seconds or 360)
        }


def test_checks_by_tcp_http_and_sctp_are_keepalived_s_own_or_octavias_program() -> None:
    where = {"address": "192.0.2.1", "monitor_address": "192.0.2.9", "monitor_port": 8080}
    checks = {
        "TCP": ["connect_ip 192.0.2.9", "connect_port 8080", "connect_timeout 3", "retry 2"],
        "HTTP": [
            "path /a?b=c",
            "status_code 200 202-204",
            "http_protocol 1.1",
            "virtualhost www.example.org",
            "connect_port 8080",
        ],
        "SCTP": [
            'misc_path "amphora-health-checker sctp -t 3 192.0.2.9 8080"',
            "misc_timeout 4",
        ],
    }
    for kind, lines in checks.items():
        watch = monitor(
            type=kind,
            url_path="/a?b=c",
            expected_codes="200,202-204",
            http_version=1.1,
            domain_name="www.example.org",
        )
        said = text(udp(members=[member(**where)], healthmonitor=watch))
        assert read(said).checked
        for line in lines:
            assert f"{line}\n" in said


def test_a_member_fails_as_soon_as_keepalived_can_have_it() -> None:
    def retries(kind: str, fall: int) -> list[str]:
        watch = monitor(type=kind, max_retries_down=fall)
        lines = text(udp(members=[member()], healthmonitor=watch)).splitlines()
        return [line.split()[1] for line in lines if line.strip().startswith("retry")]

    assert [retries("UDP-CONNECT", fall) for fall in (1, 2, 3)] == [[], ["1"], ["2"]]
    assert [retries("TCP", fall) for fall in (1, 2, 3)] == [["1"], ["1"], ["2"]]


def test_nothing_is_served_where_there_is_nobody_to_serve_it() -> None:
    up = [member(address="192.0.2.1")]
    for behind, front in (
        (udp(), FRONT),
        (udp(members=up, admin_state_up=False), FRONT),
        (udp(members=up), FRONT | {"default_pool_id": None}),
        (udp(members=[up[0] | {"admin_state_up": False}]), FRONT),
    ):
        assert read(text(behind, front)).services == ()
    down = {"admin_state_up": False}
    assert render_lvs(translate(tree([FRONT | down], [udp(members=up)]))) == {}
    assert render_lvs(translate(tree([FRONT], [udp(members=up)], **down))) == {}


def test_haproxy_and_keepalived_have_each_their_own_listeners() -> None:
    web = listener(listener_id="web", protocol_port=53, default_pool_id="w")
    found = translate(tree([FRONT, web], [udp(members=[member()]), pool(pool_id="w")]))
    assert list(render_lvs(found)) == ["l"]
    said = render(found, Place())
    assert "frontend web" in said
    assert "p:l" not in said
    alone = translate(tree([FRONT], [udp(members=[member()])]))
    assert render(alone, Place()) == ""


# -- whatever is asked for ------------------------------------------------------------------------

_HOSTS = st.one_of(
    st.ip_addresses(v=4, network="198.18.0.0/15").map(str),
    st.ip_addresses(v=6, network="2001:db8::/32").map(str),
)
_PORTS = st.integers(1, 65535)
_MEMBERS = st.lists(
    st.builds(
        member,
        member_id=st.uuids().map(str),
        address=_HOSTS,
        protocol_port=_PORTS,
        weight=st.integers(0, 256),
        admin_state_up=st.booleans(),
        monitor_address=st.none() | _HOSTS,
        monitor_port=st.none() | _PORTS,
        name=HOSTILE,
    ),
    max_size=5,
    unique_by=lambda one: (one["address"], one["protocol_port"]),
)
_MASKS = st.one_of(
    st.none(),
    st.integers(1, 32).map(lambda n: str(ipaddress.IPv4Network((0, n)).netmask)),
    st.integers(1, 128).map(lambda n: str(ipaddress.IPv6Network((0, n)).netmask)),
)
_WATCHES = st.none() | st.builds(
    lambda version, timeout, **fields: monitor(
        http_version=version[0],
        domain_name=version[1],
        timeout=min(timeout, 3600) if fields["type"] == "SCTP" else timeout,
        **fields,
    ),
    st.sampled_from([(None, None), (1.0, None), (1.1, None), (1.1, "www.example.org:81")]),
    st.integers(1, MOST_CHECK_SECONDS),
    type=st.sampled_from(["UDP-CONNECT", "SCTP", "TCP", "HTTP"]),
    delay=st.integers(1, 86400),
    max_retries_down=st.none() | st.integers(1, 10),
    admin_state_up=st.booleans(),
    url_path=st.sampled_from(["/", "/a?b=c&d=%20,x:y+z*", "/" + "a" * 511]),
    expected_codes=st.sampled_from(["200", "200,202", "200-204", "200, 301-304 ,404"]),
    name=HOSTILE,
)


@st.composite
def datagram_trees(draw: st.DrawFn) -> Any:
    """Any tree of UDP and SCTP, with hostile text in every field that is for people."""
    protocol = draw(st.sampled_from(["UDP", "SCTP"]))
    stay = {
        "type": "SOURCE_IP",
        "persistence_timeout": draw(st.none() | st.integers(1, 86400)),
        "persistence_granularity": draw(_MASKS),
    }
    behind = udp(
        pool_id=str(draw(st.uuids())),
        protocol=protocol,
        lb_algorithm=draw(st.sampled_from([one.value for one in Algorithm])),
        members=draw(_MEMBERS),
        healthmonitor=draw(_WATCHES),
        session_persistence=stay if draw(st.booleans()) else None,
        admin_state_up=draw(st.booleans()),
        name=draw(HOSTILE),
        description=draw(HOSTILE),
    )
    front = FRONT | {
        "listener_id": str(draw(st.uuids())),
        "protocol": protocol,
        "protocol_port": draw(_PORTS),
        "default_pool_id": behind["pool_id"] if draw(st.booleans()) else None,
        "connection_limit": draw(st.sampled_from([-1, 1, 100000])),
        "name": draw(HOSTILE),
    }
    vips = draw(st.lists(_HOSTS, min_size=1, max_size=3, unique=True))
    more = [{"ip_address": one, "subnet_id": "s"} for one in vips[1:]]
    return tree([front], [behind], vip_address=vips[0], additional_vips=more, name=draw(HOSTILE))


@given(datagram_trees())
def test_whatever_is_asked_for_is_read_by_a_device_as_it_was_meant(found: Any) -> None:
    balancer = servable(found).balancer
    (said,) = render_lvs(balancer).values()
    assert said == next(iter(render_lvs(servable(found).balancer).values()))
    config = read(said)
    ((front, behind),) = balancer.serving
    wanted = {one.id: one for one in (behind.members if behind else ()) if one.enabled}
    served = {one.id: one for service in config.services for one in service.servers}
    assert served.keys() == wanted.keys()
    for name, one in served.items():
        assert one.place == (ipaddress.ip_address(wanted[name].address), wanted[name].port)
        assert one.weight == wanted[name].weight
    families = {ipaddress.ip_address(one.address).version for one in wanted.values()}
    assert {str(address) for address in config.addresses} == {
        one for one in balancer.addresses if ipaddress.ip_address(one).version in families
    }
    assert {service.protocol for service in config.services} <= {front.protocol}
    watched = behind is not None and behind.monitor is not None and behind.monitor.enabled
    assert config.checked == (watched and bool(wanted))


@given(
    st.sampled_from(
        [
            *(("listeners", name) for name in ("listener_id", "protocol", "default_pool_id")),
            *(("pools", name) for name in ("pool_id", "protocol", "lb_algorithm")),
            *(("members", name) for name in ("member_id", "address", "monitor_address")),
            *(("monitors", name) for name in ("type", "url_path", "expected_codes")),
            *(("monitors", name) for name in ("domain_name", "http_version")),
            ("tree", "vip_address"),
        ]
    ),
    HOSTILE,
)
def test_hostile_text_is_refused_or_harmless(where: tuple[str, str], bad: str) -> None:
    source = spoilt(where, bad)
    for one in source.pools:
        if one["protocol"] == "HTTP":
            one["protocol"] = "UDP"
        one["session_persistence"] = None
    for one in source.listeners:
        if one["protocol"] == "HTTP":
            one["protocol"] = "UDP"
    try:
        files = render_lvs(translate(source))
    except Unsupported:
        return
    for said in files.values():
        read(said)


@given(st.text(max_size=20))
def test_no_word_is_written_that_keepalived_could_read_as_another(bad: str) -> None:
    for make in (lvs_words.address, lvs_words.path, lvs_words.host):
        try:
            word = make(bad)
        except ValueError:
            continue
        assert not set(word) & set("\n\r\t \"'#!$~@{}\\")
