"""The ports of devices, and floating addresses of load balancers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make their tables."""
    op.create_table(
        "ports",
        sa.Column("device", sa.String(255)),
        sa.Column("subnet", sa.String(64)),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("port", sa.JSON()),
        sa.Column("plugged", sa.Boolean(), nullable=False),
        sa.Column("idle_since", sa.Float(53)),
        sa.PrimaryKeyConstraint("device", "subnet", name="pk_ports"),
        sa.ForeignKeyConstraint(
            ["device"], ["devices.name"], name="fk_ports_device", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "addresses",
        sa.Column("load_balancer_id", sa.String(64)),
        sa.Column("ip", sa.String(64)),
        sa.Column("device", sa.String(255)),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("load_balancer_id", name="pk_addresses"),
    )


def downgrade() -> None:
    """Take them away."""
    for table in ("addresses", "ports"):
        op.drop_table(table)
