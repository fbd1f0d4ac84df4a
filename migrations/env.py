"""Alembic's environment: runs on the connection that `app/db/migrate.py` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from app.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
