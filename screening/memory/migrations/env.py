"""Alembic's environment script; `screening.memory.migrations` passes the connection."""

from __future__ import annotations

from alembic import context

from screening.memory.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
