"""UDP and SCTP listeners: what of a controller's text may run, and what is said of them."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora import lvs_check, lvs_config, lvs_forward, lvs_report
from libra_amphora.ip_vs import Row, parse
from libra_amphora.lvs import LvsListeners
from libra_amphora.lvs_config import LIMIT, LvsConfig, Place
from libra_amphora.lvs_errors import LvsConfigRefused, LvsError
from libra_amphora.lvs_report import View
from libra_amphora.lvs_store import Kept, LvsStore
from libra_amphora.lvs_ways import Way, asked, fits, found
from libra_amphora.namespace import Namespace
from libra_amphora.snapshot import Traffic
from libra_haproxy.errors import DiskError
from tests.support.lvs_text import LISTENER, POOL, SCTP_CHECK, Lvs

ONE, TWO = "73f6d278-ae1c-4248-ad02-0bfd50d69aab", "2edca57c-5890-4bcb-ae67-4ef75776cc67"
MEMBERS = {ONE: "198.18.0.1", TWO: "198.18.0.2"}
GOOD = Lvs(members=MEMBERS, weights={TWO: 7}, disabled=("off",))
CHECK = ("/usr/bin/check",)
STAYS = "persistence_timeout 60\n    persistence_granularity"
PREFIX_64 = str(ipaddress.IPv4Address((64).to_bytes(4, sys.byteorder)))
USER = ("nobody", "nogroup")


def read(text: str) -> LvsConfig:
    return lvs_config.read(text.encode())


def place(address: str, port: int) -> Place:
    return ipaddress.ip_address(address), port


# -- the text -------------------------------------------------------------------------------------


def test_listener_pool_and_members_are_found() -> None:
    config = read(GOOD.text())
    (service,) = config.services
    assert service.protocol == "UDP"
    assert service.places == (place("203.0.113.2", 53),)
    assert {one.id: one.place for one in service.servers} == {
        id_: place(address, 5353) for id_, address in MEMBERS.items()
    }
    assert (config.pool, config.disabled, config.checked) == (POOL, ("off",), True)
    assert config.balancer == "85e2111b-29c4-44be-94f3-e72045805801"
    assert config.enabled
    assert config.addresses == (ipaddress.ip_address("203.0.113.2"),)


def test_running_file_says_what_the_sender_says_but_for_checks_and_namespace() -> None:
    running = read(GOOD.text()).to_run(check=CHECK, script_user=USER)
    assert "net_namespace" not in running
    assert "script_user nobody nogroup" in running
    assert 'misc_path "/usr/bin/check udp 198.18.0.1 5353 1"' in running
    assert "weight 7" in running
    assert running.count("{") == running.count("}")


def test_checked_file_has_the_senders_lines_in_their_places_and_no_scripts() -> None:
    sent = GOOD.text().split("\n")
    checked = read(GOOD.text()).to_check().split("\n")
    for number, line in enumerate(checked):
        assert not line or line.split() == sent[number].split()
    assert "misc_path" not in "".join(checked)
    assert "".join(checked).count("{") == "".join(checked).count("}")


def test_sctp_and_other_checks_are_taken() -> None:
    text = Lvs(members=MEMBERS, protocol="SCTP", check=SCTP_CHECK).text()
    assert "check sctp 198.18.0.1 5353 1" in read(text).to_run(check=CHECK, script_user=USER)
    http = """\
        HTTP_GET {
            url {
              path /a?b=1
              status_code 200
            }
            connect_ip 198.18.0.1
            connect_port 80
            connect_timeout 5
        }
    }"""
    text = Lvs(members={ONE: "198.18.0.1"}, check="").text().replace("    }", http, 1)
    config = read(text)
    assert config.checked
    assert "path /a?b=1" in config.to_run(check=CHECK, script_user=USER)


def test_disabled_listener_has_nothing_that_runs() -> None:
    config = read(f"# Configuration for Loadbalancer x\n# Listener {LISTENER} is disabled\n")
    assert not config.enabled
    assert config.services == ()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("lb_kind NAT", "lb_kind TUN", "line 12: lb_kind has no usable value"),
        ("protocol UDP", "protocol TCP", "line 13: protocol has no usable value"),
        ("    protocol UDP\n", "", "the virtual_server has no protocol"),
        ("lb_algo rr", "lb_algo rr; include /x", "lb_algo has no usable value"),
        ("weight 1", "weight -1", "weight has no usable value"),
        ("weight 1", "notify_up /bin/sh", "'notify_up' is not allowed here"),
        ("/var/lib/octavia/lvs/check/udp_check.sh", "/bin/sh", "'/bin/sh' is not run here"),
        ("udp_check.sh 198.18.0.1 5353", "udp_check.sh x 5353", "not given an address"),
        ("udp_check.sh 198.18.0.1 5353", "udp_check.sh 198.18.0.1 5353 ;x", "not run here"),
        ('misc_path "', "misc_path '\"", "has a quote that does not end"),
        ("    203.0.113.2 53", "    203.0.113.2", "line 7: is no address with a port"),
        ("    203.0.113.2 53", "    203.0.113.2%eth0 53", "is no address with a port"),
        ("    203.0.113.2 53", "    203.0.113.2 65536", "is no address with a port"),
        ("server group ipv4-group", "server group other", "no virtual_server_group 'other'"),
        ("virtual_server group", "vrrp_instance", "'vrrp_instance' is not allowed here"),
        ("# Configuration for Pool", "include /etc/passwd\n#", "'include' is not allowed here"),
        ("MISC_CHECK {", "MISC_CHECK x {", "MISC_CHECK has no name"),
        ("MISC_CHECK {", "DNS_CHECK {", "'DNS_CHECK' is not allowed here"),
        ("net_namespace", "\x00net_namespace", "holds a control character"),
        ("real_server", "r\u00e9al_server", "not ASCII"),
    ],
)
def test_what_is_not_allowed_is_refused_by_its_line(old: str, new: str, complaint: str) -> None:
    assert old in GOOD.text()
    with pytest.raises(LvsConfigRefused, match=complaint.replace("(", r"\(")):
        read(GOOD.text().replace(old, new, 1))


def test_text_that_is_cut_or_too_long_is_refused() -> None:
    with pytest.raises(LvsConfigRefused, match="virtual_server is never closed"):
        read(GOOD.text().rstrip().removesuffix("}"))
    with pytest.raises(LvsConfigRefused, match="closes a block that was never opened"):
        read(GOOD.text() + "}")
    with pytest.raises(LvsConfigRefused, match=f"more than {LIMIT} bytes"):
        read("#" * (LIMIT + 1))


@given(st.lists(st.sampled_from([*GOOD.text().split("\n"), "include /x", "{", "}", "a {"])))
def test_no_order_of_lines_brings_anything_else_into_the_running_file(lines: list[str]) -> None:
    try:
        config = read("\n".join(lines))
    except LvsConfigRefused:
        return
    running = config.to_run(check=CHECK, script_user=USER)
    assert "include" not in running
    assert "udp_check" not in running
    assert running.count("{") == running.count("}")


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused(line: str) -> None:
    with contextlib.suppress(LvsConfigRefused):
        read(GOOD.text().replace("    lb_algo rr", line, 1))


# -- the kernel's table ---------------------------------------------------------------------------

TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  CB007103:0050 rr
  -> C6120009:0050      Masq    1      0          0
UDP  CB007102:0035 rr persistent 360 FFFFFFFF
  -> C6120001:14E9      Masq    1      3          4
  -> C6120002:14E9      Masq    0      0          0
SCTP [2001:0db8:0000:0000:0000:0000:0000:0002]:0D05 wrr
  -> [2001:0db8:0000:0000:0000:0000:0000:0009]:0D05      Masq    5      1          0
UDP  CB007104:0035 rr
"""


def test_services_and_members_are_read_as_the_kernel_writes_them() -> None:
    table = parse(TABLE)
    assert table == {
        ("UDP", place("203.0.113.2", 53)): {
            place("198.18.0.1", 5353): Row(1, 3, 4),
            place("198.18.0.2", 5353): Row(0, 0, 0),
        },
        ("SCTP", place("2001:db8::2", 3333)): {place("2001:db8::9", 3333): Row(5, 1, 0)},
        ("UDP", place("203.0.113.4", 53)): {},
    }


@pytest.mark.parametrize("spoilt", ["C6120001", "Masq    1      3", ":14E9"])
def test_table_that_cannot_be_understood_is_told_of(spoilt: str) -> None:
    with pytest.raises(LvsError, match="cannot be understood"):
        parse(TABLE.replace(spoilt, "?", 1))


# -- what is said ---------------------------------------------------------------------------------


def view(lvs: Lvs = GOOD, *, should_run: bool = True, runs: bool = True) -> View:
    return View(id=LISTENER, config=read(lvs.text()), should_run=should_run, runs=runs)


@pytest.mark.parametrize(
    ("should_run", "runs", "status"),
    [(True, True, "ACTIVE"), (True, False, "ERROR"), (False, False, "STOPPED")],
)
def test_status_is_what_is(should_run: bool, runs: bool, status: str) -> None:
    assert lvs_report.status(view(should_run=should_run, runs=runs)) == {
        "status": status,
        "uuid": LISTENER,
        "type": "UDP",
    }


@pytest.mark.parametrize(
    ("lvs", "rows", "pool", "members"),
    [
        (GOOD, {ONE: Row(1, 0, 0), TWO: Row(7, 0, 0)}, "UP", {ONE: "UP", TWO: "UP"}),
        (GOOD, {TWO: Row(0, 0, 0)}, "UP", {ONE: "DOWN", TWO: "DRAIN"}),
        (GOOD, {}, "DOWN", {ONE: "DOWN", TWO: "DOWN"}),
        (
            Lvs(members=MEMBERS, check="", disabled=("off",)),
            {ONE: Row(1, 0, 0)},
            "UP",
            {ONE: "no check", TWO: "no check"},
        ),
    ],
)
def test_members_are_as_the_kernel_has_them(
    lvs: Lvs, rows: dict[str, Row], pool: str, members: dict[str, str]
) -> None:
    key = ("UDP", place("203.0.113.2", 53))
    table = {key: {place(MEMBERS[id_], 5353): row for id_, row in rows.items()}}
    found = lvs_report.snapshot([view(lvs)], table=table, traffic={}, total=lambda *all_: all_[2])
    (one,) = found.pools
    assert (one.backend, one.status) == (POOL, pool)
    assert {member.id: member.status for member in one.members} == {"off": "MAINT", **members}


@pytest.mark.parametrize(
    ("lvs", "table", "in_force"),
    [
        (GOOD, None, False),
        (GOOD, {ONE: 1, TWO: 7}, True),
        (GOOD, {ONE: 1, TWO: 1}, False),
        (GOOD, {TWO: 7}, True),
        (GOOD, {}, True),
        (GOOD, {"old": 1, ONE: 1, TWO: 7}, False),
        (Lvs(members=MEMBERS, check=""), {ONE: 1, TWO: 1}, True),
        (Lvs(members=MEMBERS, check=""), {ONE: 1}, False),
        (Lvs(members={ONE: MEMBERS[ONE]}, check=""), {ONE: 1, TWO: 1}, False),
    ],
)
def test_listener_is_in_force_once_the_kernel_has_just_its_members(
    lvs: Lvs, table: dict[str, int] | None, in_force: bool
) -> None:
    key = ("UDP", place("203.0.113.2", 53))
    addresses = {**MEMBERS, "old": "198.18.0.9"}
    rows = {place(addresses[id_], 5353): Row(weight, 0, 0) for id_, weight in (table or {}).items()}
    kernel = {} if table is None else {key: rows}
    ways = dict.fromkeys(kernel, Way(scheduler="rr", by_port=False, seconds=0, mask=None))
    assert lvs_report.in_force(read(lvs.text()), kernel, ways) is in_force
    assert not lvs_report.in_force(read(lvs.text()), kernel, {})


@pytest.mark.parametrize(
    ("lines", "version", "kernel", "netmask", "fit"),
    [
        ("lb_algo wrr", 4, ("wrr", 0x2, 0), "255.255.255.255", True),
        ("lvs_sched wrr", 4, ("rr", 0x2, 0), "255.255.255.255", False),
        ("lb_algo sh\n    sh-port", 4, ("sh", 0x12, 0), "255.255.255.255", True),
        ("lb_algo sh\n    sh-port", 4, ("sh", 0x2, 0), "255.255.255.255", False),
        ("lb_algo sh", 4, ("sh", 0x12, 0), "255.255.255.255", False),
        ("persistence_timeout 60", 4, ("rr", 0x3, 60), "255.255.255.255", True),
        ("persistence_timeout 60", 4, ("rr", 0x3, 360), "255.255.255.255", False),
        ("persistence_timeout 60", 4, ("rr", 0x2, 60), "255.255.255.255", False),
        ("lb_algo rr", 4, ("rr", 0x3, 60), "255.255.255.255", False),
        (f"{STAYS} 255.255.0.0", 4, ("rr", 0x3, 60), "255.255.0.0", True),
        (f"{STAYS} 255.255.0.0", 4, ("rr", 0x3, 60), "255.255.255.0", False),
        (f"{STAYS} 64", 6, ("rr", 0x3, 60), PREFIX_64, True),
        (f"{STAYS} 128", 6, ("rr", 0x3, 60), PREFIX_64, False),
        ("persistence_timeout 60", 6, ("rr", 0x3, 60), PREFIX_64, False),
    ],
)
def test_how_members_are_chosen_is_compared_with_what_the_kernel_does(
    lines: str, version: int, kernel: tuple[str, int, int], netmask: str, fit: bool
) -> None:
    (service,) = read(GOOD.text().replace("    lb_algo rr", f"    {lines}")).services
    scheduler, flags, seconds = kernel
    way = found(scheduler=scheduler, flags=flags, seconds=seconds, netmask=netmask, version=version)
    assert fits(asked(service.settings, version), way) is fit


def test_flags_stand_alone_and_statuses_may_be_several() -> None:
    text = GOOD.text().replace("lb_kind NAT", "lb_kind NAT\n    sh-port")
    assert "    sh-port\n" in read(text).to_run(check=CHECK, script_user=USER)
    for bad in ("sh-port 1", "mh-port"):
        with pytest.raises(LvsConfigRefused, match=r"not allowed here|no usable value"):
            read(GOOD.text().replace("lb_kind NAT", f"lb_kind NAT\n    {bad}"))
    http = """\
        HTTP_GET {
            http_protocol 1.1
            url {
                path /
                status_code 200-204 301
                virtualhost www.example.org
            }
        }
    }"""
    asked = Lvs(members=MEMBERS, check="").text()
    found = asked.replace("    }\n    # Conf", f"{http}\n    # Conf", 1)
    assert "status_code 200-204 301\n" in read(found).to_run(check=CHECK, script_user=USER)
    for old, bad in (("200-204 301", ""), ("200-204", "2000"), ("301", "200-"), ("1.1", "1.1 1.0")):
        with pytest.raises(LvsConfigRefused, match="no usable value"):
            read(found.replace(old, bad, 1))


def test_traffic_is_that_of_all_places_and_connections_are_those_of_now() -> None:
    key = ("UDP", place("203.0.113.2", 53))
    table = {
        key: {place("198.18.0.1", 5353): Row(1, 3, 4), place("198.18.0.2", 5353): Row(1, 2, 0)}
    }
    traffic = {key: Traffic(bytes_in=10, bytes_out=20, total_connections=30)}
    found = lvs_report.snapshot([view()], table=table, traffic=traffic, total=lambda *all_: all_[2])
    (listener,) = found.listeners
    assert listener.status == "OPEN"
    assert listener.loadbalancer_id == "85e2111b-29c4-44be-94f3-e72045805801"
    assert listener.traffic == Traffic(
        bytes_in=10, bytes_out=20, total_connections=30, connections=5
    )


def test_only_what_comes_to_listeners_is_masqueraded() -> None:
    addresses = [ipaddress.ip_address(one) for one in ("203.0.113.2", "fd00::2")]
    text = lvs_forward.render("t", addresses)
    assert "ct original ip daddr 203.0.113.2 meta l4proto { udp, sctp } masquerade" in text
    assert "ct original ip6 daddr fd00::2" in text
    assert "masquerade" not in lvs_forward.render("t", [])


def test_agents_that_share_a_namespace_have_tables_of_their_own() -> None:
    one, other = (lvs_forward.table_of(Path(path)) for path in ("/var/lib/a", "/var/lib/b"))
    assert one != other


# -- what is kept, and the check ------------------------------------------------------------------


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = LvsStore(tmp_path / "lvs")
    store.save(LISTENER, Kept(uploaded="a", running="b"))
    assert list(store.ids()) == [LISTENER]
    assert store.load(LISTENER) == Kept(uploaded="a", running="b")
    store.forget(LISTENER)
    assert list(store.ids()) == []
    with pytest.raises(DiskError):
        store.load(LISTENER)


def test_keepalived_that_does_not_start_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    # Given a listener that should run, whose keepalived ends at once
    program, tries = tmp_path / "keepalived", tmp_path / "tries"
    program.write_text(f"#!/bin/sh\necho x >> {tries}\nexit 1\n")
    program.chmod(0o755)
    text = GOOD.text()
    LvsStore(tmp_path / "lvs").save(LISTENER, Kept(uploaded=text, running=text))
    seconds = iter(range(100, 1000))
    listeners = LvsListeners(
        program=program,
        namespace=Namespace(""),
        run_dir=tmp_path / "run",
        state_dir=tmp_path,
        script_user=USER,
        forward=lambda *_: None,
        clock=lambda: float(next(seconds)),
    )
    # When the agent looks after it each second of a minute
    listeners.open()
    for _ in range(60):
        listeners.look()
    # Then it is told as it is, and tried now and then
    assert listeners.statuses() == [{"status": "ERROR", "uuid": LISTENER, "type": "UDP"}]
    assert 4 <= len(tries.read_text().split()) <= 7


def test_udp_member_is_up_unless_it_refuses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as member:
        member.bind(("127.0.0.1", 0))
        port = str(member.getsockname()[1])
        assert lvs_check.main(["udp", "127.0.0.1", port, "0.2"]) == 0

        def answer() -> None:
            _, sender = member.recvfrom(10)
            member.sendto(b"x", sender)

        member.recv(10)
        thread = threading.Thread(target=answer)
        thread.start()
        assert lvs_check.main(["udp", "127.0.0.1", port, "30"]) == 0
        thread.join()
    assert lvs_check.main(["udp", "127.0.0.1", port, "30"]) == 1
    assert lvs_check.main(["sctp", "127.0.0.1", port, "1"]) == 1
    assert lvs_check.main(["tcp", "127.0.0.1", port, "1"]) == 2
    assert lvs_check.main(["udp"]) == 2
