"""An index that holds what calls cost, so that a month is added up without reading the calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    columns = ["began", "dialed", "cost_minutes", "tokens", "cost_money"]
    paid = sa.text("cost_minutes IS NOT NULL")
    op.create_index("calls_by_cost", "calls", columns, sqlite_where=paid, postgresql_where=paid)
