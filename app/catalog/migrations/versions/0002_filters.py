"""Terms that filters of every kind can be answered from: order, lists, keys without scalars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import sqlalchemy as sa
from alembic import op

from app.catalog.metadata_terms import metadata_terms
from app.catalog.records import Metadata

revision = "0002"
down_revision = "0001"

BATCH = 500

VIDEOS = sa.table("videos", sa.column("id", sa.String()), sa.column("metadata", sa.JSON()))


def upgrade() -> None:
    """Make the table anew: terms are derived, so nothing of the old ones is needed."""
    op.drop_table("metadata_terms")
    terms = op.create_table(
        "metadata_terms",
        sa.Column("video_id", sa.String(length=40), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("term", sa.Text(), nullable=True),
        sa.Column("number", sa.LargeBinary(), nullable=True),
        sa.Column("string", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_metadata_terms_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "ordinal", name=op.f("pk_metadata_terms")),
    )
    for batch in _batches(op.get_bind()):
        rows = [
            {"video_id": video_id, "ordinal": ordinal, **asdict(term)}
            for video_id, metadata in batch
            for ordinal, term in enumerate(metadata_terms(metadata))
        ]
        if rows:
            op.bulk_insert(terms, rows)
    for column in ("term", "number"):
        name = f"ix_metadata_terms_key_{column}_video_id"
        op.create_index(name, "metadata_terms", ["key", column, "video_id"])


def _batches(connection: sa.Connection) -> Iterator[list[tuple[str, Metadata]]]:
    """(id, metadata) of all videos, some at a time."""
    last = ""
    while True:
        statement = sa.select(VIDEOS).where(VIDEOS.c.id > last).order_by(VIDEOS.c.id).limit(BATCH)
        found = [(row.id, row.metadata) for row in connection.execute(statement)]
        if not found:
            return
        yield found
        last = found[-1][0]
