"""What Alembic runs: it is given a connection by `screening.memory.migrations`."""

from __future__ import annotations

from alembic import context

from screening.memory.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
