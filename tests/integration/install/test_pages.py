"""The commands of the manual, word for word, on a machine where Libra was just installed."""

from __future__ import annotations

import re

import pytest

from tests.support import pages
from tests.support.machine import Machine
from tests.support.pages import File, Shown
from tests.support.wait import until
from tests.unit.docs import proofs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOCS = pages.ROOT / "docs"
REFUSED = "curl: (7) ..."
BEHIND = """
[gearman]
servers = 198.18.0.1
ssl_key = /etc/libra/web-1.key
ssl_cert = /etc/libra/web-1.crt
ssl_ca = /etc/libra/ca.pem
[worker]
name = web-1
"""
ORIGINAL = """
[DEFAULT]
verbose = true
user = libra
group = libra
[gearman]
servers = 127.0.0.1:4730
poll = 1
reconnect_sleep = 60
keepalive = true
[worker]
driver = haproxy
pid = /var/run/libra/libra_worker.pid
[worker:haproxy]
service = ubuntu
statsfile = /var/log/haproxy.stats
"""


def run(machine: Machine, command: str, *, folder: str) -> tuple[int, str]:
    # Not `&&`: what goes to the background would take the shell with it, and its output.
    done = machine.run("bash", "-c", f"cd {folder}\n{command}", seconds=60)
    print(f"$ {command} -> {done.returncode}\n{done.stdout}")
    return done.returncode, done.stdout


def follow(machine: Machine, page: str, *, folder: str = "/root", **words: str) -> None:
    """Do what a page says: write its files, run its commands, `words` in place of names.

    Of a command without output on the page only its exit code counts.
    """
    for one in pages.read(pages.ROOT / page if page == "README.md" else DOCS / page):
        if isinstance(one, File):
            if one.name:
                path = one.name if one.name.startswith("/") else f"{folder}/{one.name}"
                machine.write(path, one.text)
        elif (one.page, one.command) not in {*proofs.ELSEWHERE, *proofs.NOWHERE}:
            obey(machine, one, folder=folder, words=words)


def obey(machine: Machine, shown: Shown, *, folder: str, words: dict[str, str]) -> None:
    command = shown.command
    for name, value in words.items():
        command = command.replace(name, value)
    code, said = run(machine, command, folder=folder)
    where = f"{shown.page}:{shown.line}: {command}: {code}: {said}"
    if shown.output and shown.page == "tutorial.md":
        assert pages.matches(shown.output, said), where
    fails = shown.output[:1] == (REFUSED,) or any("FAIL" in line for line in shown.output)
    assert (code != 0) == fails, where


def file(page: str, name: str) -> str:
    """The file that a page shows under a name."""
    (text,) = [
        one.text for one in pages.read(DOCS / page) if isinstance(one, File) and one.name == name
    ]
    return text


def node(machine: Machine) -> None:
    """The tutorial's node and load balancer."""
    machine.gearmand()
    machine.write("/etc/libra.cfg", file("tutorial.md", "/etc/libra.cfg"))
    assert machine.init("libra-worker", "start") == 0
    machine.write("/root/shop.json", file("tutorial.md", "shop.json"))
    machine.must("libra", "update", "web-1", "/root/shop.json")


def backends(machine: Machine) -> None:
    """The tutorial's web servers."""
    for shown in pages.commands(DOCS / "tutorial.md"):
        if "/srv/" in shown.command:
            assert run(machine, shown.command, folder="/root")[0] == 0
    until(lambda: answers(machine, 8001) and answers(machine, 8002), "both answer")


def answers(machine: Machine, port: int) -> bool:
    return machine.run("curl", "-s", f"http://127.0.0.1:{port}/").returncode == 0


def test_the_tutorial_does_and_says_what_it_shows(machine: Machine) -> None:
    follow(machine, "tutorial.md")


def test_the_commands_of_the_readme_run_in_a_checkout(machine: Machine) -> None:
    # Given a checkout that is set up, whose Python HAProxy's user may run
    as_haproxy = ("setpriv", "--reuid=haproxy", "--regid=haproxy", "--clear-groups")
    python = str(pages.ROOT / ".venv" / "bin" / "python")
    if machine.run(*as_haproxy, python, "-c", "import libra_haproxy.keeper").returncode != 0:
        pytest.skip("HAProxy's user may not read this checkout, or it is not set up")
    machine.gearmand()
    # When its commands are run, the worker's beside the others / Then each succeeds
    worker = "bin/libra_worker --config-file libra.cfg"
    follow(
        machine,
        "README.md",
        folder=str(pages.ROOT),
        PORT="4730",
        NODE="web-1",
        **{worker: f"{worker} --daemon > /dev/null 2>&1"},
    )
    assert machine.libra("stats", "web-1")["lb_status"] == "ACTIVE"


def test_the_commands_of_the_page_of_the_command_run(machine: Machine) -> None:
    node(machine)
    machine.must("install", "-d", "/opt/haproxy/sbin")
    machine.must("ln", "-s", "/usr/sbin/haproxy", "/opt/haproxy/sbin/haproxy")
    follow(machine, "cli.md")


def test_the_gates_certificates_are_made_by_its_pages_commands(machine: Machine) -> None:
    follow(machine, "gate.md")
    for name in ("gate/gate", "web-1/web-1", "api-1/api-1"):
        pair = (f"/root/{name}.crt", f"/root/{name}.key")
        assert all(map(machine.has, pair))
        machine.must("openssl", "verify", "-CAfile", "/etc/libra/ca/ca.pem", pair[0])


def test_gearmand_goes_behind_the_gate_by_its_page(machine: Machine) -> None:
    # Given its certificates, and gearmand on the port that the page gives it
    follow(machine, "gate.md")
    page = (DOCS / "gate.md").read_text()
    params = re.search(r'PARAMS="[^"]*"', page)
    assert params is not None
    machine.write("/etc/default/gearman-job-server", " ".join(params[0].split()) + "\n")
    assert machine.init("gearman-job-server", "start") == 0
    until(
        lambda: machine.run("gearadmin", "-p", "4731", "--server-version").returncode == 0,
        "gearmand is there",
    )
    # When the gate has its settings and files, and a node has its own
    machine.must("useradd", "--system", "--user-group", "libra")
    for name in ("gate/gate.key", "gate/gate.crt", "web-1/web-1.key", "web-1/web-1.crt"):
        own = ("-o", "libra", "-m", "600")
        machine.must("install", *own, f"/root/{name}", f"/etc/libra/{name.partition('/')[2]}")
    for name in ("ca.pem", "crl.pem"):
        machine.must("install", "-m", "644", f"/etc/libra/ca/{name}", f"/etc/libra/{name}")
    shown = [one.text for one in pages.read(DOCS / "gate.md") if isinstance(one, File)]
    (gate,) = [text for text in shown if text.startswith("[gate]")]
    machine.write("/etc/libra.cfg", gate + BEHIND)
    machine.must("ip", "address", "add", "198.18.0.1/32", "dev", "lo")
    machine.must("libra_gate", "--check-config")
    # Then it starts by its script, and the node's proof of it succeeds
    assert machine.init("libra-gate", "start") == 0
    proved = machine.run("libra_worker", "--check-config")
    assert proved.returncode == 0, proved.stdout
    assert "nothing is proved" not in proved.stdout
    assert machine.init("libra-worker", "start") == 0
    assert machine.init("libra-gate", "stop") == 0


def test_the_operators_commands_run_and_a_node_is_what_was_saved_of_it(machine: Machine) -> None:
    # Given a node that serves / When all of the page is done / Then it serves as before
    backends(machine)
    node(machine)
    words = {"NODE": "web-1", "RUN_DIR": "/run/libra/worker"}
    follow(machine, "operations.md", **words)
    assert serves(machine)

    # When the machine is another one, and only what is to be done there is done
    machine.kill_all()
    machine.must("rm", "-r", "/var/lib/libra", "/etc/libra.cfg", "/var/log/libra")
    machine.must("userdel", "libra")
    machine.must("useradd", "--system", "somebody")  # who takes its number
    backends(machine)
    machine.gearmand()
    commands = pages.commands(DOCS / "operations.md")
    (begin,) = [at for at, one in enumerate(commands) if "getent passwd" in one.command]
    for shown in commands[begin : begin + 3]:
        obey(machine, shown, folder="/root", words=words)

    # Then it serves, and knows what was in force before
    assert serves(machine)
    assert len(machine.libra("history", "web-1")["history"]) == 1


def serves(machine: Machine) -> bool:
    return machine.must("curl", "-s", "http://127.0.0.1:8080/").startswith("this is ")


def test_the_settings_and_cookies_of_the_original_stay_valid(machine: Machine) -> None:
    # Given its settings, of which some are not known any more
    backends(machine)
    machine.gearmand()
    machine.write("/etc/libra.cfg", ORIGINAL)
    checked = machine.run("libra_worker", "--check-config")
    assert checked.returncode == 78
    for name in ("verbose", "user", "group", "poll", "reconnect_sleep", "service", "statsfile"):
        assert name in checked.stdout

    # When the node is started with them, under its host's name
    assert machine.init("libra-worker", "start") == 0
    name = machine.must("hostname").strip()
    machine.write("/root/shop.json", file("tutorial.md", "shop.json"))
    machine.must("libra", "update", name, "/root/shop.json")

    # Then who has a cookie stays where it says
    for letter, cookie in (("a", "SERVERID=id-1"), ("b", "SERVERID=id-2")):
        for _ in range(3):
            said = machine.must("curl", "-s", "-b", cookie, "http://127.0.0.1:8080/")
            assert said == f"this is {letter}\n"
