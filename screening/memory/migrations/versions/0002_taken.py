"""Counts of expected calls, and messages taken by the agent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("entries", sa.Column("calls", sa.Integer))
    op.add_column("voicemails", sa.Column("message", sa.JSON))
