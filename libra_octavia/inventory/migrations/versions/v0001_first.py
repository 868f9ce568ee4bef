"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.String(64)


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "load_balancers",
        sa.Column("id", _ID),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(128)),
        sa.Column("expires", sa.Float(53), nullable=False),
        sa.Column("not_before", sa.Float(53), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_load_balancers"),
    )
    op.create_table(
        "intents",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True
        ),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("object_id", _ID, nullable=False),
        sa.Column("load_balancer_id", _ID),
        sa.Column("parent_kind", sa.String(16)),
        sa.Column("parent_id", _ID),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.Column("previous", sa.JSON(), nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_intents"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_intents_load_balancer_id", "intents", ["load_balancer_id"])
    op.create_table(
        "objects",
        sa.Column("id", _ID),
        sa.Column("load_balancer_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_objects"),
    )
    op.create_index("ix_objects_load_balancer_id", "objects", ["load_balancer_id"])
    op.create_table(
        "devices",
        sa.Column("name", sa.String(255)),
        sa.Column("load_balancer_id", _ID),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("amphora_id", _ID),
        sa.Column("address", sa.String(64)),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_devices"),
    )
    op.create_index("ix_devices_load_balancer_id", "devices", ["load_balancer_id"])
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(64)),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("not_after", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("serial", name="pk_certificates"),
        sa.ForeignKeyConstraint(
            ["device"], ["devices.name"], name="fk_certificates_device", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_certificates_not_after", "certificates", ["not_after"])
    op.create_table(
        "totals",
        sa.Column("listener_id", _ID),
        sa.Column("load_balancer_id", _ID, nullable=False),
        sa.Column("active_connections", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("request_errors", sa.BigInteger(), nullable=False),
        sa.Column("total_connections", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("listener_id", name="pk_totals"),
    )
    op.create_index("ix_totals_load_balancer_id", "totals", ["load_balancer_id"])


def downgrade() -> None:
    """Take all of it away."""
    for table in ("totals", "certificates", "devices", "objects", "intents", "load_balancers"):
        op.drop_table(table)
