"""What is measured for a collection: its calibration and its number of candidates. And secrets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Add two columns, empty, and a table."""
    op.add_column("collections", sa.Column("calibration", sa.String(length=100), nullable=True))
    op.add_column("collections", sa.Column("recall_candidates", sa.Integer(), nullable=True))
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
