"""An index of the jobs that pause before their next attempt."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add it."""
    op.create_index("ix_jobs_not_before", "jobs", ["not_before"])
