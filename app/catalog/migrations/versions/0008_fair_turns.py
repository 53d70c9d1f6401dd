"""Whose each ingest is, what it will take, and what every key and collection has received."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Add columns with nothing in them, and the clocks, of which only that of all is there."""
    op.add_column(
        "jobs", sa.Column("owner", sa.String(length=40), nullable=False, server_default="")
    )
    op.add_column("jobs", sa.Column("price_s", sa.Double(), nullable=True))
    op.create_index(
        "ix_jobs_turns", "jobs", ["status", "owner", "collection", "not_before", "price_s", "id"]
    )
    turns = op.create_table(
        "turns",
        sa.Column("owner", sa.String(length=40), nullable=False),
        sa.Column("collection", sa.String(length=63), nullable=False),
        sa.Column("served_s", sa.Double(), nullable=False),
        sa.Column("reached_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "collection", name=op.f("pk_turns")),
    )
    clock = {"owner": "*", "collection": "", "served_s": 0.0, "reached_s": 0.0}
    op.bulk_insert(turns, [clock])
