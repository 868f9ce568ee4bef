"""The client of a device's API against servers that misbehave, over real TLS."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from libra_common.authority import Authority, Usage
from libra_octavia.agent.devices import DeviceAway, DeviceRefused
from libra_octavia.devices.api import Api, Apis
from libra_octavia.devices.certificates import Certificates
from libra_octavia.inventory import Database, Device, Devices, migrate
from tests.support.ports import free_port
from tests.support.wait import until

Answer = tuple[int, object]


class Server:
    """A device's API with the certificate in a file; `answer` says what to, per method and path."""

    def __init__(self, certificate: Path, authorities: str) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.connections = 0
        self.answer: Callable[[str, str], Answer] = lambda _method, _path: (200, {})
        self.raw: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def _any(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.requests.append((self.command, self.path, dict(self.headers)))
                if server.raw(self):
                    return
                status, body = server.answer(self.command, self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = _any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authorities)
        context.load_cert_chain(certificate)
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class World:
    """An inventory with one device, its authority, and servers that claim to be the device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        database = Database(f"sqlite:///{folder / 'inventory.db'}")
        migrate(database)
        self.devices = Devices(database)
        self.id = str(uuid.uuid4())
        self.device = Device(name="d", state="ready", load_balancer_id="lb", amphora_id=self.id)
        self.devices.put(self.device)
        self.certificates = Certificates(folder=folder / "ca", days=90, devices=self.devices)

    def server(self, pem: str | None = None) -> Server:
        path = self.folder / f"{uuid.uuid4()}.pem"
        path.write_text(pem or self.certificates.issue(self.device))
        return Server(path, self.certificates.authorities())

    def api(self, port: int, *, seconds: float = 2.0) -> Api:
        apis = Apis(
            context=self.certificates.context,
            port=port,
            connect_timeout=seconds,
            timeout=seconds,
        )
        return apis.of(self.id, "127.0.0.1", fence=7)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with world.server() as running:
        yield running


def test_calls_go_by_one_connection_and_changes_bear_the_fence(
    world: World, server: Server
) -> None:
    api = world.api(server.port)
    server.answer = lambda _, path: (202 if path.endswith("start") else 200, {"uuid": "x"})
    for _ in range(5):
        assert api.info() == {"uuid": "x"}
    api.act("lb", "start")
    assert server.connections == 1
    fences = [headers.get("X-Libra-Fence") for _, _, headers in server.requests]
    assert fences == [None] * 5 + ["7"]


def test_nobody_but_the_device_itself_is_spoken_to(world: World, tmp_path: Path) -> None:
    world.certificates.authorities()
    authority = Authority.open(tmp_path / "ca")
    stranger = Authority.create(tmp_path / "strangers")
    other = str(uuid.uuid4())
    made = {
        "another device": authority.issue(name=other, dns=(other,), usage=Usage.SERVER),
        "another authority": stranger.issue(name=world.id, dns=(world.id,), usage=Usage.SERVER),
        "a controller": authority.issue(name=world.id, dns=(world.id,), usage=Usage.CLIENT),
    }
    for who, issued in made.items():
        with world.server(issued.certificate + issued.key) as server:
            with pytest.raises(DeviceAway):
                world.api(server.port).info()
            assert server.requests == [], who


def test_a_connection_that_was_closed_meanwhile_is_made_anew(world: World, server: Server) -> None:
    api = world.api(server.port)

    def hang_up(handler: BaseHTTPRequestHandler) -> bool:
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True
        return True

    api.info()
    server.raw = lambda handler: hang_up(handler) if server.connections == 1 else False
    assert api.info() == {}
    assert server.connections == 2
    # One that hangs up each time is away.
    server.raw = hang_up
    with pytest.raises(DeviceAway):
        api.info()


def test_who_never_answers_or_never_ends_is_away(world: World, server: Server) -> None:
    api = world.api(server.port, seconds=0.5)
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not ended.wait(0.1):
            handler.wfile.write(b"x")
        return True

    def silent(_: BaseHTTPRequestHandler) -> bool:
        return ended.wait(30)

    for misbehave in (drip, silent):
        server.raw = misbehave
        began = time.monotonic()
        with pytest.raises(DeviceAway):
            api.info()
        assert time.monotonic() - began < 20
    ended.set()


def test_who_does_not_listen_or_shake_hands_is_away(world: World) -> None:
    with pytest.raises(DeviceAway, match="refused"):
        world.api(free_port()).info()
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(DeviceAway):
        world.api(mute.getsockname()[1], seconds=0.5).info()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, DeviceRefused),
        (409, DeviceRefused),
        (401, DeviceAway),
        (500, DeviceAway),
        (503, DeviceAway),
    ],
)
def test_what_is_refused_comes_with_the_devices_words(
    world: World, server: Server, status: int, error: type[Exception]
) -> None:
    server.answer = lambda *_: (status, {"message": "Invalid request", "details": "line 3: no"})
    with pytest.raises(error, match="Invalid request: line 3: no"):
        world.api(server.port).upload(world.id, "lb", "text")


def test_what_is_gone_already_is_no_fault(world: World, server: Server) -> None:
    server.answer = lambda *_: (404, {"message": "Not Found"})
    api = world.api(server.port)
    assert api.configuration("lb") is None
    api.drop("lb")
    api.delete_file("lb", "a.pem")
    assert api.file_md5("lb", "a.pem") is None
    assert api.plug({}) is False


def test_listeners_of_udp_are_told_with_the_configuration_where_there_is_none_too(
    world: World, server: Server
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(404)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Content-Length", "2"),
            ("X-Libra-By-Kernel", "one,two"),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"{}")
        return True

    server.raw = answer
    found = world.api(server.port).present("lb")
    assert found.configuration is None
    assert found.by_kernel == {"one", "two"}
    # Devices of an older release say nothing of it
    server.raw = lambda _: False
    server.answer = lambda _method, _path: (404, {})
    assert world.api(server.port).present("lb").by_kernel == frozenset()


def test_a_listener_that_a_device_cannot_have_is_told_apart_from_a_device_that_is_another_s(
    world: World, server: Server
) -> None:
    api = world.api(server.port)
    server.answer = lambda _method, _path: (400, {"message": "not possible", "details": "no IP_VS"})
    why = api.upload_by_kernel(world.id, "l", "text")
    assert why is not None
    assert why.endswith("not possible: no IP_VS")
    server.answer = lambda _method, _path: (200, {})
    assert api.upload_by_kernel(world.id, "l", "text") is None
    server.answer = lambda _method, _path: (409, {})
    with pytest.raises(DeviceRefused):
        api.upload_by_kernel(world.id, "l", "text")
    server.answer = lambda _method, _path: (500, {})
    with pytest.raises(DeviceAway):
        api.upload_by_kernel(world.id, "l", "text")


def test_a_certificate_is_noted_and_its_key_kept_nowhere(world: World, tmp_path: Path) -> None:
    pem = world.certificates.issue(world.device)
    (noted,) = world.devices.certificates("d")
    assert Path(noted.reference).read_text() in pem
    key = pem[pem.index("-----BEGIN PRIVATE KEY") :].strip()
    kept = [path.name for path in tmp_path.rglob("*") if path.is_file() and _holds(path, key)]
    assert kept == []


def test_a_renewal_that_the_device_did_not_get_is_tried_again(world: World) -> None:
    world.certificates.issue(world.device)

    def away(_: str) -> None:
        raise DeviceAway("gone fishing")

    with pytest.raises(DeviceAway):
        world.certificates.renew(world.device, away)
    assert len(world.devices.certificates("d")) == 1
    sent: list[str] = []
    world.certificates.renew(world.device, sent.append)
    assert len(world.devices.certificates("d")) == 2
    assert "PRIVATE KEY" in sent[0]


def test_agents_of_one_folder_share_an_authority(world: World, tmp_path: Path) -> None:
    found: list[str] = []

    def ask() -> None:
        mine = Certificates(folder=tmp_path / "new", days=1, devices=world.devices)
        mine.context()
        found.append(mine.authorities())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    until(lambda: len(found) == 6, "all have asked")
    assert len(set(found)) == 1
    assert (tmp_path / "new" / "libra_octavia.pem").stat().st_mode & 0o777 == 0o600


def _holds(path: Path, text: str) -> bool:
    return text.encode() in path.read_bytes()
