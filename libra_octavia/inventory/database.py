"""The database under the inventory: one engine a process, short transactions, its own clock."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import Connection, Engine, Float, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from libra_common.errors import SettingsError
from libra_octavia.errors import InventoryAway

BUSY_SECONDS = 5
"""How long a call waits for another one's transaction; each takes milliseconds."""


class now(FunctionElement[float]):  # noqa: N801 - a function of SQL
    """Seconds since 1970 by the database's clock, as it is at this moment."""

    type = Float(53)
    inherit_cache = True


@compiles(now, "sqlite")
def _now_of_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_of_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())"


class Database:
    """A database by its URL; may be shared by threads, and used again after a fork.

    Raises SettingsError for a URL that is none, or of a kind that Libra does not support.
    """

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise SettingsError("the inventory is no URL of a database") from error
        if self.url.get_backend_name() not in ("sqlite", "postgresql"):
            raise SettingsError(
                f"the inventory cannot be kept in {self.url.get_backend_name()!r}: sqlite and"
                " postgresql are supported"
            )
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pid = 0

    @property
    def engine(self) -> Engine:
        """Give the engine of this process; opens nothing yet."""
        with self._lock:
            if self._engine is None or self._pid != os.getpid():
                # Connections of a parent process must not be used, nor closed, by its child.
                if self._engine is not None:
                    self._engine.dispose(close=False)
                self._engine = _engine(self.url)
                self._pid = os.getpid()
            return self._engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that changes something; raises InventoryAway and has changed nothing."""
        with _explained(self.url), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One look at a single moment; raises InventoryAway."""
        reading = self.engine.execution_options(libra_reads=True)
        with _explained(self.url), reading.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close what is open; the next use opens it again."""
        with self._lock:
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()
            self._engine = None


@contextmanager
def _explained(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).splitlines()
        where = url.render_as_string(hide_password=True)
        raise InventoryAway(
            f"the inventory at {where} cannot be used: {said[0] if said else type(error).__name__}"
        ) from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": BUSY_SECONDS,
                "options": f"-c statement_timeout={BUSY_SECONDS}s -c lock_timeout={BUSY_SECONDS}s",
            },
        )
    # `migrate` alone makes the file: whoever else looks first must not leave an empty one behind.
    existing = url.set(
        database=f"file:{quote(url.database or '')}", query={"mode": "rw", "uri": "true"}
    )
    engine = sqlalchemy.create_engine(existing, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _opened(connection: Any, _record: object) -> None:
        # The driver's own notion of transactions would begin them too late.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begins(connection: Connection) -> None:
        # One that reads first and writes then could not wait for another's end.
        reads = connection.get_execution_options().get("libra_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine
