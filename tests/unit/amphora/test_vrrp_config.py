from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libra_amphora import vrrp_config, vrrp_pair
from libra_amphora.plugged import Home
from libra_amphora.vrrp_errors import VrrpConfigRefused
from tests.support.vrrp import configuration

USER = ("nobody", "nogroup")
SOUND = configuration(0)
INSTANCE = SOUND.index("    interface")


def with_line(line: str, *, top: bool = False) -> bytes:
    """A sound configuration with one line more."""
    at = 0 if top else INSTANCE
    return f"{SOUND[:at]}{line}\n{SOUND[at:]}".encode()


def test_sound_configuration_runs_with_our_check_in_place_of_the_script() -> None:
    config = vrrp_config.read(SOUND.encode())
    text = config.to_run(check="/bin/check /run/list", script_user=USER)
    assert config.text == SOUND
    assert config.interfaces == ("eth1",)
    assert '    script "/bin/check /run/list"' in text
    assert "check_script.sh" not in text
    assert "script_user nobody nogroup" in text
    assert "enable_script_security" in text


def test_what_is_tested_has_the_senders_line_numbers_and_no_script() -> None:
    lines = vrrp_config.read(SOUND.encode()).to_check().split("\n")
    sent = SOUND.split("\n")
    assert len(lines) == len(sent) + 1
    for mine, theirs in zip(lines, sent, strict=False):
        assert mine.split() in ([], theirs.split())
    assert not any("script" in line for line in lines)
    assert "\n".join(lines).count("{") == "\n".join(lines).count("}")


@pytest.mark.parametrize(
    "line",
    [
        "include /etc/shadow",
        "    include /etc/shadow",
        "static_ipaddress {",
        "virtual_server 10.0.0.1 80 {",
        "vrrp_track_process p {",
        "track_file f {",
        "@host include /etc/shadow",
        "$X=include",
        "linkbeat_interfaces {",
        "net_namespace other",
        "bfd_instance b {",
        "garp_group {",
        "}",
    ],
)
def test_what_is_not_on_the_list_is_refused_at_the_top(line: str) -> None:
    with pytest.raises(VrrpConfigRefused, match=r"^line 1: "):
        vrrp_config.read(with_line(line, top=True))


@pytest.mark.parametrize(
    "line",
    [
        "    notify /bin/sh",
        '    notify_master "/bin/sh -c true" root',
        "    notify_stop /bin/sh",
        "    include /etc/shadow",
        "    use_vmac",
        "    track_file {",
        "    track_process {",
        "    priority 1 { notify /bin/sh",
        "    priority `id`",
        "    priority $(id)",
        "    priority 1;2",
        '    interface "eth1',
        "    interface",
        "    interface eth1 eth2",
        "    {",
        "    priority 10\\",
        "    priority \x01",
        "    priority \xff",
        "    prioritee 3",
        "    track_script extra {",
    ],
)
def test_what_is_not_on_the_list_is_refused_in_an_instance(line: str) -> None:
    with pytest.raises(VrrpConfigRefused):
        vrrp_config.read(with_line(line))


@pytest.mark.parametrize(
    "script",
    [
        "/bin/sh",
        "/var/lib/octavia/vrrp/check_script.sh -x",
        '"/bin/sh -c id"',
        "check_script.sh",
        "/vrrp/check_script.sh/../../bin/sh",
        "",
    ],
)
def test_no_script_but_the_nodes_own_check_is_run(script: str) -> None:
    text = SOUND.replace("/var/lib/octavia/vrrp/check_script.sh", script)
    with pytest.raises(VrrpConfigRefused, match=r"^line 2: |^line 3: "):
        vrrp_config.read(text.encode())


@pytest.mark.parametrize("base", ["/var/lib/octavia", "/opt/base-path", "/a/b/c"])
def test_check_script_may_lie_below_any_base_path(base: str) -> None:
    vrrp_config.read(SOUND.replace("/var/lib/octavia", base).encode())


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("        check_script\n", "        other\n", "there is no vrrp_script 'other'"),
        ("interval 1", "interval one", "interval has no usable value"),
        ("fall 2", "fall 2 3", "fall has no usable value"),
        ("vrrp_script check_script {", "vrrp_script {", "vrrp_script needs one name"),
    ],
)
def test_what_is_said_about_scripts_is_read(old: str, new: str, why: str) -> None:
    with pytest.raises(VrrpConfigRefused, match=re.escape(why)):
        vrrp_config.read(SOUND.replace(old, new).encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no vrrp_instance"),
        (b"vrrp_instance a {\n", "vrrp_instance is never closed"),
        (b"global_defs {\n}\n", "no vrrp_instance"),
        (b"\xff", "not ASCII"),
        (b"#" * (vrrp_config.LIMIT + 1), "more than"),
    ],
)
def test_what_is_no_configuration_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(VrrpConfigRefused, match=why):
        vrrp_config.read(data)


def test_comments_are_no_part_of_what_runs() -> None:
    text = SOUND.replace("advert_int 1", "advert_int 1 # include /etc/shadow\n! notify /bin/sh")
    run = vrrp_config.read(text.encode()).to_run(check="c", script_user=USER)
    assert "include" not in run
    assert "notify" not in run


_WORDS = st.sampled_from(
    [
        *("include", "notify", "script", "/bin/sh", "vrrp_script", "vrrp_instance", "x"),
        *("track_script", "global_defs", "priority", "1", "@a", "{", "}"),
        *("\n", "#", '"', "\t", " ", "$", "\\", "!"),
    ]
)


@given(st.lists(_WORDS, max_size=30))
def test_no_text_brings_a_forbidden_word_into_what_runs(words: list[str]) -> None:
    data = (" ".join(words) + "\n" + SOUND).encode()
    try:
        run = vrrp_config.read(data).to_run(check="CHECK", script_user=USER)
    except VrrpConfigRefused:
        return
    for line in run.split("\n"):
        first = (line.split() or [""])[0]
        assert first not in ("include", "notify")
        assert first != "script" or line.strip() == 'script "CHECK"'


@pytest.mark.parametrize("ha_ip", ["203.0.113.2", "fd00:18::2"])
def test_pair_is_the_same_on_both_nodes_but_for_the_role(ha_ip: str) -> None:
    address = ipaddress.ip_address(ha_ip)
    home = Home(
        address=address,
        subnet=ipaddress.ip_network("203.0.113.0/24" if address.version == 4 else "fd00:18::/64"),
        gateway=address + 1,
    )
    texts = [
        vrrp_pair.render(
            vrrp_pair.Pair(role=role, ha_ip=address, secret="a long shared secret"),  # noqa: S106
            interface="eth1",
            home=home,
        )
        for role in ("ACTIVE", "STANDBY")
    ]
    for text in texts:
        vrrp_config.read(text.encode())
        assert "a long shared" not in text
    differing = [
        pair
        for pair in zip(texts[0].split("\n"), texts[1].split("\n"), strict=True)
        if pair[0] != pair[1]
    ]
    assert differing == [("    priority 100", "    priority 90")]


def test_pair_takes_an_address_from_the_other_only_when_it_is_told_to() -> None:
    pair = vrrp_pair.Pair(
        role="ACTIVE",
        ha_ip=ipaddress.ip_address("203.0.113.2"),
        secret="s",  # noqa: S106
    )
    calm = vrrp_pair.render(pair, interface="eth1")
    taking = vrrp_pair.render(pair, interface="eth1", preempt=True)
    assert "nopreempt" in calm
    assert "preempt" not in taking
    assert vrrp_pair.calmed(taking) == vrrp_pair.calmed(calm) == calm
