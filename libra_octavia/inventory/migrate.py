"""Builds the inventory's tables and brings those of an older release up to date (alembic).

Their form has a number, that of the last step of `migrations` that made them. A release knows the
forms before its own and none after it; so the newer release takes them back before an older one
is put in its place.
"""

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


def forms() -> tuple[str, ...]:
    """The numbers of the forms that this release knows, its own last."""
    steps = ScriptDirectory.from_config(_config(None)).walk_revisions()
    return tuple(sorted(one.revision for one in steps))


def form(database: Database) -> str | None:
    """The number of the form that the tables have; None where there are none.

    Raises InventoryAway.
    """
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_known(database: Database) -> bool:
    """Whether this release can use the tables, or bring them up to date. Raises InventoryAway."""
    return form(database) in (None, *forms())


def take_back(database: Database, wanted: str) -> None:
    """Give the tables the older form `wanted`; what only newer ones can hold is dropped.

    Nobody may use the inventory meanwhile; whoever of this release starts afterwards brings it up
    to date again. Raises InventoryAway, and SettingsError for a form that is not known or is newer
    than that of the tables.
    """
    found = form(database)
    if wanted not in forms() or found not in forms() or wanted > found:
        raise SettingsError(
            f"the inventory cannot be given the form {wanted!r}: its own is {found or 'none'!r},"
            f" and this release knows {', '.join(forms())}"
        )
    with _alone_on_file(database), database.write() as connection:
        command.downgrade(_config(connection), wanted)


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
