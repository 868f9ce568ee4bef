"""Heartbeats of devices, and what Octavia was told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.String(64)


def upgrade() -> None:
    """Make their tables."""
    op.add_column("load_balancers", sa.Column("served", sa.Float(53)))
    op.create_table(
        "beats",
        sa.Column("amphora_id", _ID),
        sa.Column("load_balancer_id", _ID, nullable=False),
        sa.Column("boot", sa.BigInteger()),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("heard", sa.Float(53), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("amphora_id", name="pk_beats"),
    )
    op.create_index("ix_beats_load_balancer_id", "beats", ["load_balancer_id"])
    op.create_table(
        "readings",
        sa.Column("amphora_id", _ID),
        sa.Column("listener_id", _ID),
        sa.Column("load_balancer_id", _ID, nullable=False),
        sa.Column("active_connections", sa.BigInteger(), nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("request_errors", sa.BigInteger(), nullable=False),
        sa.Column("total_connections", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("amphora_id", "listener_id", name="pk_readings"),
    )
    op.create_index("ix_readings_load_balancer_id", "readings", ["load_balancer_id"])
    op.create_table(
        "reports",
        sa.Column("load_balancer_id", _ID),
        sa.Column("busy_until", sa.Float(53), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("told_at", sa.Float(53), nullable=False),
        sa.Column("basis", sa.String(64), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("load_balancer_id", name="pk_reports"),
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("reports", "readings", "beats"):
        op.drop_table(table)
    with op.batch_alter_table("load_balancers") as balancers:
        balancers.drop_column("served")
