"""Further names of videos whose bytes were sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add a column of empty lists."""
    op.add_column(
        "videos", sa.Column("further_names", sa.JSON(), nullable=False, server_default="[]")
    )
