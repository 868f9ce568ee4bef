"""The file that runs of a controller's text, line for line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from libra_haproxy.text import parse
from libra_haproxy.text_derive import derive
from tests.support.need import program
from tests.unit.haproxy.texts import GOOD, Certificates, place


@given(st.lists(st.sampled_from(GOOD.split("\n")), max_size=60))
def test_running_file_of_any_lines_has_all_of_them_in_their_order(lines: list[str]) -> None:
    text = parse("\n".join(lines))
    derived = derive(text, place())
    numbers = [origin for origin in derived.origins if origin]
    assert numbers == list(range(1, len(lines or [""]) + 1))


def test_running_file_leaves_out_what_is_the_nodes_to_say() -> None:
    running = derive(parse(GOOD), place()).text
    for gone in ("user nobody", "    daemon", "/var/lib/octavia", "servers-state", "level user"):
        assert gone not in running
    for ours in (
        "stats socket /run/x/admin.sock mode 660 level admin",
        "server-state-file /run/x/down.servers",
        "load-server-state-from-file global",
        "localpeer me",
        "option idle-close-on-response",
        "option contstats",
    ):
        assert ours in running


def test_system_authorities_are_read_only_where_the_sender_asks_for_them() -> None:
    # Given a sender who has HAProxy's own HTTP client verify whom it asks
    asked = "    httpclient.ssl.verify required"
    # When the running file is made
    lines = derive(parse(f"global\n{asked}\n"), place()).text.split("\n")
    # Then ours, which needs no authorities, comes first, and HAProxy goes by the sender's
    assert lines.index("    httpclient.ssl.verify none") < lines.index(asked)


def test_each_defaults_section_gets_our_options() -> None:
    derived = derive(parse("defaults\n    mode http\ndefaults\n    mode tcp\n"), place())
    lines = derived.text.split("\n")
    at = [number for number, line in enumerate(lines) if line == "defaults"]
    assert len(at) == 3
    for number in at:
        assert lines[number + 1 : number + 3] == [
            "    option contstats",
            "    option idle-close-on-response",
        ]


def test_connections_are_as_many_as_asked_for_where_they_fit_into_the_open_files() -> None:
    def maxconn(text: str, **fields: object) -> str:
        return derive(parse(text), place(**fields)).text.split("\n")[2].strip()

    assert maxconn("global\n    maxconn 100\n") == "maxconn 100"
    assert maxconn("global\n    maxconn 100000\n") == "maxconn 7948"
    assert maxconn("global\n", open_files=1_000_000) == "maxconn 50000"


def test_certificates_are_found_where_they_are_here() -> None:
    text = parse("frontend x\n    bind :443 ssl crt-list /certs/l.pem ca-file /certs/ca.pem\n")
    running = derive(text, place()).text
    assert "    bind :443 ssl crt-list /here/l.pem.list ca-file /here/ca.pem" in running


def test_running_file_is_another_one_when_a_certificate_has_changed() -> None:
    text = parse(GOOD)
    one = derive(text, place(files=Certificates("1")))
    other = derive(text, place(files=Certificates("2")))
    assert one.digest != other.digest
    assert derive(text, place(files=Certificates("1"))) == one


def test_complaints_come_back_in_the_senders_lines_and_paths(tmp_path: Path) -> None:
    # Given a text that HAProxy does not like
    lines = GOOD.split("\n")
    at = lines.index("    option redispatch")
    lines[at] = "    option nonsense"
    derived = derive(parse("\n".join(lines)), place(admin_socket=tmp_path / "admin.sock"))
    file = tmp_path / "haproxy.cfg.new"
    file.write_text(derived.text)

    # When HAProxy looks at what was made of it
    done = subprocess.run(
        [program("haproxy"), "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )

    # Then its complaint names the line that was sent
    assert done.returncode
    said = derived.in_senders_words(done.stderr, file=file)
    assert f"[haproxy.cfg:{at + 1}]" in said
    assert str(tmp_path) not in said
