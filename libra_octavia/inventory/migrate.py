"""Builds the inventory's tables and brings those of an older release up to date (alembic)."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from libra_common.errors import SettingsError
from libra_octavia.errors import InventoryAway
from libra_octavia.inventory.database import Database

_LOCK = 0x4C69627261
"""The number of PostgreSQL's advisory lock under which only one controller migrates."""


def migrate(database: Database) -> None:
    """Bring the tables to this release's state; several controllers may do so at once.

    Raises InventoryAway, and SettingsError where a newer release made tables that this one does
    not know.
    """
    with _alone_on_file(database), database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        try:
            command.upgrade(_config(connection), "head")
        except CommandError as error:
            raise SettingsError(
                f"the inventory is of another release of Libra than this one: {error}"
            ) from error


def is_current(database: Database) -> bool:
    """Whether the tables are as this release wants them. Raises InventoryAway."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
    return set(found) == set(ScriptDirectory.from_config(_config(None)).get_heads())


def is_known(database: Database) -> bool:
    """Whether this release can use the tables, or bring them up to date. Raises InventoryAway."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
    known = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return set(found) <= {one.revision for one in known}


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone_on_file(database: Database) -> Iterator[None]:
    """Hold a lock beside SQLite's file, whose own would be given back between two steps."""
    path = database.url.database if database.url.get_backend_name() == "sqlite" else None
    if not path:
        yield
        return
    try:
        Path(path).touch(mode=0o660)
        with Path(f"{path}.migrating").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise InventoryAway(f"the inventory at {path} cannot be made: {error.strerror}") from error
