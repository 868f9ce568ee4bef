"""The inventory's tables. Whoever changes one writes a migration of it too; a test compares both.

Times are seconds since 1970 by the database's own clock, so that controllers whose clocks differ
agree on who holds what.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

_ID = String(64)
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

load_balancers = Table(
    "load_balancers",
    metadata,
    Column("id", _ID, primary_key=True),
    # The lease: the fence counts claims and never falls while the row lives.
    Column("fence", BigInteger, nullable=False),
    Column("holder", String(128)),
    Column("expires", Float(53), nullable=False),
    # Back-off: when to look again, after how many attempts, and what the last one said.
    Column("not_before", Float(53), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    # When devices were last brought to what Octavia wants.
    Column("served", Float(53)),
)

intents = Table(
    "intents",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("operation", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("object_id", _ID, nullable=False),
    # Empty until it is known to which load balancer the parent belongs.
    Column("load_balancer_id", _ID, index=True),
    Column("parent_kind", String(16)),
    Column("parent_id", _ID),
    Column("changed", JSON, nullable=False),
    Column("previous", JSON, nullable=False),
    Column("created", Float(53), nullable=False),
    sqlite_autoincrement=True,
)

objects = Table(
    "objects",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("load_balancer_id", _ID, nullable=False, index=True),
)

devices = Table(
    "devices",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("load_balancer_id", _ID, index=True),
    Column("state", String(16), nullable=False),
    Column("amphora_id", _ID),
    Column("address", String(64)),
    Column("created", Float(53), nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(64), primary_key=True),
    Column("device", String(255), ForeignKey("devices.name", ondelete="CASCADE"), nullable=False),
    # The certificate and its key stay in files of the controller; this is where.
    Column("reference", Text, nullable=False),
    Column("not_after", Float(53), nullable=False),
    Index("ix_certificates_not_after", "not_after"),
)

ports = Table(
    "ports",
    metadata,
    Column("device", String(255), ForeignKey("devices.name", ondelete="CASCADE"), primary_key=True),
    # Empty where the load balancer names none.
    Column("subnet", _ID, primary_key=True),
    # The load balancer's addresses that it carries.
    Column("addresses", JSON, nullable=False),
    # What the pool said of it; empty while it is not known whether it was attached.
    Column("port", JSON),
    # Whether the device was seen to have it laid out as it is here.
    Column("plugged", Boolean, nullable=False),
    Column("idle_since", Float(53)),
)

addresses = Table(
    "addresses",
    metadata,
    # Floating addresses; the address is empty while it is not known whether it was made.
    Column("load_balancer_id", _ID, primary_key=True),
    Column("ip", String(64)),
    # The device that it leads to.
    Column("device", String(255)),
    Column("created", Float(53), nullable=False),
)

totals = Table(
    "totals",
    metadata,
    Column("listener_id", _ID, primary_key=True),
    Column("load_balancer_id", _ID, nullable=False, index=True),
    Column("active_connections", BigInteger, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("request_errors", BigInteger, nullable=False),
    Column("total_connections", BigInteger, nullable=False),
)

beats = Table(
    "beats",
    metadata,
    Column("amphora_id", _ID, primary_key=True),
    Column("load_balancer_id", _ID, nullable=False, index=True),
    # Which heartbeat was the last: how often the device has started, and its place since then.
    Column("boot", BigInteger),
    Column("sequence", BigInteger, nullable=False),
    Column("heard", Float(53), nullable=False),
    # What it said of listeners, pools and members, and the SHA-256 of that.
    Column("words", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)

readings = Table(
    "readings",
    metadata,
    # What a device's counters were when it was heard last.
    Column("amphora_id", _ID, primary_key=True),
    Column("listener_id", _ID, primary_key=True),
    Column("load_balancer_id", _ID, nullable=False, index=True),
    Column("active_connections", BigInteger, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("request_errors", BigInteger, nullable=False),
    Column("total_connections", BigInteger, nullable=False),
)

reports = Table(
    "reports",
    metadata,
    Column("load_balancer_id", _ID, primary_key=True),
    # Until when somebody is telling Octavia of it; nobody else does meanwhile.
    Column("busy_until", Float(53), nullable=False),
    # What Octavia was told last, when, and from what that followed.
    Column("told", JSON, nullable=False),
    Column("told_at", Float(53), nullable=False),
    Column("basis", String(64), nullable=False),
    Column("counts", JSON, nullable=False),
)
