"""Schema migration: Alembic's entry, runs the scripts within the transaction it is handed."""

from __future__ import annotations

from alembic import context

from app.catalog.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column only by building the table anew
)
with context.begin_transaction():
    context.run_migrations()
