"""A cloud of files for the pool manager's own tests: `[mgm] cloud = tests.support.file_cloud`.

It lives in the folder that LIBRA_FILE_CLOUD names, so that new processes find what killed ones
left. Devices are real libra_worker processes, or nothing at all where a file `farm` says that
`tests.support.device_farm` plays them. A device goes wrong as the words of its flavor say
("slow3 mute"), and each call is noted in `calls`, with its time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from libra_common.settings import Settings
from libra_pool_mgm.clouds.base import (
    Address,
    Device,
    DeviceWish,
    FixedIp,
    Port,
    PortWish,
)
from libra_pool_mgm.clouds.errors import (
    BadRequest,
    CloudTimeout,
    CloudUnavailable,
    Conflict,
    NotFound,
    QuotaExceeded,
    Unauthorized,
)
from tests.support.file_records import Record, Records, address_of, device_of

FOLDER = "LIBRA_FILE_CLOUD"


def make_cloud(settings: Settings) -> FileCloud:
    servers = ",".join(str(server) for server in settings.gearman.servers)
    return FileCloud(folder=Path(os.environ[FOLDER]), servers=servers)


@dataclass(frozen=True, kw_only=True)
class FileCloud:
    """The cloud in `folder`; its devices connect to the job servers `servers`."""

    folder: Path
    servers: str = ""

    @property
    def _records(self) -> Records:
        return Records(self.folder)

    def check(self) -> None:
        self._called("check")
        if (self.folder / "locked").exists():
            raise Unauthorized("wrong password")

    def prepare(self) -> None:
        self._called("prepare")

    def close(self) -> None:
        pass

    # -- devices ---------------------------------------------------------------------------

    def create_device(self, wish: DeviceWish) -> Device:
        self._called("create_device")
        words = (wish.flavor or "").split()
        if "unknown" in words:
            raise BadRequest("there is no flavor unknown")
        if "quota" in words:
            raise QuotaExceeded("1 requested, 0 left")
        if "unseen" in words:
            raise CloudTimeout("nothing heard")
        with self._records.locked():
            record = self._records.read("devices", wish.name)
            if record is None:
                record = self._new_device(wish, words)
        if "lost" in words:
            raise CloudTimeout("nothing heard")
        return device_of(record)

    def _new_device(self, wish: DeviceWish, words: list[str]) -> Record:
        slow = next((float(word[4:]) for word in words if word.startswith("slow")), 0.2)
        record: Record = {
            "id": str(uuid.uuid4()),
            "name": wish.name,
            "key": wish.key,
            "words": words,
            "created_at": time.time(),
            "ready_at": time.time() + slow,
            "delivered": False,
            "image": wish.image or "file",
            "az": wish.az or "file",
            "pid": 0,
            "amphora_id": wish.agent.amphora_id if wish.agent else None,
        }
        if "mute" not in words and not (self.folder / "farm").exists():
            # An ill one knows of a second job server, which is not there.
            more = ",127.0.0.1:1" if "ill" in words else ""
            record["pid"] = self._start_worker(wish.name, self.servers + more)
        self._records.write("devices", wish.name, record)
        return record

    def _start_worker(self, name: str, servers: str) -> int:
        place = self.folder / "w" / name[-12:]
        place.mkdir(parents=True)
        config = place / "libra.cfg"
        config.write_text(
            f"[DEFAULT]\nlog_file = {place / 'log'}\n[gearman]\nservers = {servers}\n"
            f"[worker]\nname = {name}\npid = {place / 'pid'}\nslots = 1\n"
            f"[worker:haproxy]\nstate_dir = {place / 'state'}\nrun_dir = {place / 'run'}\n"
            f"log_dir = {place / 'logs'}\nuser = root\ngroup = root\n"
        )
        environment = {k: v for k, v in os.environ.items() if k != "LIBRA_CRASH_AT"}
        with (place / "stderr").open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "libra_worker.main", "--config-file", str(config)],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=environment,
            ).pid

    def devices(self) -> list[Device]:
        self._called("devices")
        with self._records.locked():
            records = self._records.all("devices")
        return [device_of(record) for record in records if "foreign" not in record["words"]]

    def find_device(self, name: str) -> Device | None:
        self._called("find_device")
        with self._records.locked():
            record = self._records.read("devices", name)
        if record is not None and "foreign" in record["words"]:
            raise Conflict(f"{name} is there and is not one of this pool's")
        return None if record is None else device_of(record)

    def mark_delivered(self, device: Device) -> None:
        self._called("mark_delivered")
        with self._records.locked():
            record = self._records.read("devices", device.name)
            if record is None:
                raise NotFound(f"no device {device.name}")
            self._records.write("devices", device.name, {**record, "delivered": True})
        if "unmarked" in record["words"]:
            raise CloudTimeout("nothing heard of the mark")

    def delete_device(self, device: Device) -> None:
        self._called("delete_device")
        with self._records.locked():
            record = self._records.read("devices", device.name)
            if record is None:
                return
            if "faildel" in record["words"]:
                self._records.write(
                    "devices", device.name, {**record, "fault": "the disk is stuck"}
                )
                return
            if record["pid"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(record["pid"], signal.SIGKILL)
            (self.folder / "devices" / device.name).unlink()
            for port in self._records.all("ports"):
                if port["device"] == device.name and not (self.folder / "keep-ports").exists():
                    (self.folder / "ports" / port["id"]).unlink()
            for address in self._records.all("addresses"):
                if address["device"] == device.name:
                    self._records.write("addresses", address["ip"], {**address, "device": None})

    # -- floating IPs ------------------------------------------------------------------------

    def create_address(self, *, key: str) -> Address:
        self._called("create_address")
        with self._records.locked():
            records = self._records.all("addresses")
            found = next((record for record in records if record["key"] == key), None)
            if found is None:
                if (self.folder / "no-addresses").exists():
                    raise QuotaExceeded("no address is left")
                found = {
                    "id": str(uuid.uuid4()),
                    "ip": self._free_ip([record["ip"] for record in records]),
                    "key": key,
                    "device": None,
                    "created_at": time.time(),
                    "delivered": False,
                }
                self._records.write("addresses", found["ip"], found)
        if (self.folder / "lose-addresses").exists():
            raise CloudTimeout("nothing heard")
        return address_of(found)

    def _free_ip(self, taken: list[str]) -> str:
        # Of the loopback, so that a check by TCP has something to connect to.
        return next(ip for n in range(1, 250) if (ip := f"127.0.113.{n}") not in taken)

    def addresses(self) -> list[Address]:
        self._called("addresses")
        with self._records.locked():
            return [address_of(record) for record in self._records.all("addresses")]

    def find_address(self, ip: str) -> Address | None:
        self._called("find_address")
        with self._records.locked():
            record = self._records.read("addresses", ip)
        return None if record is None else address_of(record)

    def mark_address_delivered(self, address: Address) -> None:
        self._called("mark_address_delivered")
        self._change_address(address, delivered=True)

    def assign_address(self, address: Address, device: Device) -> None:
        self._called("assign_address")
        found = self.find_address(address.ip)
        if found is not None and found.device not in (None, device.name):
            raise Conflict(f"{address.ip} is held by {found.device}")
        if not (self.folder / "assign-nothing").exists():
            self._change_address(address, device=device.name)

    def remove_address(self, address: Address, device: Device) -> None:  # noqa: ARG002
        self._called("remove_address")
        self._change_address(address, device=None)

    def delete_address(self, address: Address) -> None:
        self._called("delete_address")
        with self._records.locked():
            (self.folder / "addresses" / address.ip).unlink(missing_ok=True)

    # -- ports -------------------------------------------------------------------------------

    def create_port(self, wish: PortWish, device: Device) -> Port:
        self._called("create_port")
        with self._records.locked():
            known = self._records.all("ports")
            record = next((one for one in known if one["key"] == wish.key), None)
            if record is None:
                record = {
                    "id": str(uuid.uuid4()),
                    "key": wish.key,
                    "device": device.name,
                    "attached": False,
                    "ip": wish.ip or f"198.51.100.{100 + len(known)}",
                    "addresses": wish.addresses,
                    "created_at": time.time(),
                }
                self._records.write("ports", record["id"], record)
        if (self.folder / "lose-ports").exists():
            raise CloudTimeout("nothing heard")
        return self._port(record)

    def ports(self) -> list[Port]:
        self._called("ports")
        with self._records.locked():
            records = self._records.all("ports")
        return [self._port(record) for record in records]

    def find_port(self, identity: str) -> Port | None:
        self._called("find_port")
        with self._records.locked():
            record = self._records.read("ports", identity)
        return None if record is None else self._port(record)

    def change_port(self, port: Port, addresses: Sequence[str]) -> None:
        self._called("change_port")
        self._change_port(port, addresses=tuple(addresses))

    def attach_port(self, port: Port, device: Device) -> None:  # noqa: ARG002
        self._called("attach_port")
        if (self.folder / "refuse-ports").exists():
            raise Conflict("the device takes no ports")
        if not (self.folder / "attach-nothing").exists():
            self._change_port(port, attached=True)

    def delete_port(self, port: Port) -> None:
        self._called("delete_port")
        with self._records.locked():
            (self.folder / "ports" / port.id).unlink(missing_ok=True)

    def _change_port(self, port: Port, **changes: object) -> None:
        with self._records.locked():
            record = self._records.read("ports", port.id)
            if record is None:
                raise NotFound(f"no port {port.id}")
            self._records.write("ports", port.id, {**record, **changes})

    def _port(self, record: Record) -> Port:
        there = (self.folder / "devices" / record["device"]).exists()
        return Port(
            id=record["id"],
            key=record["key"],
            device=record["device"] if there else None,
            attached=record["attached"] and there,
            mac="02:00:5e:00:53:01",
            mtu=1450,
            fixed_ips=(FixedIp(ip=record["ip"], cidr="198.51.100.0/24", gateway="198.51.100.1"),),
            addresses=tuple(record["addresses"]),
            created_at=datetime.fromtimestamp(record["created_at"], UTC),
        )

    def _change_address(self, address: Address, **changes: object) -> None:
        with self._records.locked():
            record = self._records.read("addresses", address.ip)
            if record is None:
                raise NotFound(f"no address {address.ip}")
            self._records.write("addresses", address.ip, {**record, **changes})

    # -- what only tests do --------------------------------------------------------------------

    def put_device(self, name: str, *, age: float, delivered: bool, foreign: bool = False) -> None:
        """Have a device there that nobody built just now; `foreign`: not one of the pool."""
        wish = DeviceWish(key=str(uuid.uuid4()), name=name, flavor="mute")
        with self._records.locked():
            record = self._new_device(wish, ["mute", "foreign"] if foreign else ["mute"])
            record |= {"created_at": time.time() - age, "delivered": delivered}
            self._records.write("devices", name, record)

    def age(self, seconds: float) -> None:
        """Make every device older."""
        with self._records.locked():
            for record in self._records.all("devices"):
                older = {**record, "created_at": record["created_at"] - seconds}
                self._records.write("devices", record["name"], older)

    def put_address(self, *, age: float, delivered: bool) -> str:
        """Have an address there that nobody asked for just now; return it."""
        address = self.create_address(key=str(uuid.uuid4()))
        created = time.time() - age
        self._change_address(address, created_at=created, delivered=delivered)
        return address.ip

    def awake(self) -> list[str]:
        """The names of the devices whose worker is to be played."""
        return [one["name"] for one in self._records.all("devices") if "mute" not in one["words"]]

    def fault(self, name: str, *, on: bool = True) -> None:
        """Have the file `name` there or not: away, locked, assign-nothing ..."""
        if on:
            (self.folder / name).touch()
        else:
            (self.folder / name).unlink()

    def calls(self) -> list[tuple[float, str]]:
        """The times and names of all calls so far."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(float(line.split()[0]), line.split()[1]) for line in lines]

    def end(self) -> None:
        """End every device's process."""
        for record in self._records.all("devices"):
            if record["pid"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(record["pid"], signal.SIGKILL)

    # -- files -----------------------------------------------------------------------------------

    def _called(self, name: str) -> None:
        with (self.folder / "calls").open("a") as calls:
            calls.write(f"{time.monotonic()} {name}\n")
        if (self.folder / "away").exists():
            raise CloudUnavailable("the cloud is away")
