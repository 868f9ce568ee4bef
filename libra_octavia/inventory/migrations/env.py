"""What alembic runs to migrate: inside the caller's transaction, by its connection."""

from alembic import context

from libra_octavia.inventory.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
