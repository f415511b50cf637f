"""Initial schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True).with_variant(sa.String(32), "sqlite")


def upgrade() -> None:
    _calls()
    op.create_table(
        "lines",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("speaker", sa.String(16), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("at_s", sa.Float),
    )
    op.create_table(
        "voicemails",
        sa.Column("call", sa.String(64), primary_key=True),
        sa.Column("file", sa.Text),
        sa.Column("seconds", sa.Float),
        sa.Column("transcript", sa.Text),
        sa.Column("heard_at", MOMENT),
        sa.Column("left_at", MOMENT, nullable=False),
    )
    op.create_index("voicemails_by_time", "voicemails", ["left_at"])
    _lists()
    _notices()
    op.create_table(
        "processes",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("place", sa.String(128), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("began", MOMENT, nullable=False),
        sa.Column("seen", MOMENT, nullable=False),
    )


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("process", sa.String(32)),
        sa.Column("began", MOMENT, nullable=False),
        sa.Column("answered", MOMENT),
        sa.Column("ended", MOMENT),
        sa.Column("caller", sa.Text),
        sa.Column("caller_name", sa.Text),
        sa.Column("dialed", sa.Text, nullable=False),
        sa.Column("result", sa.String(32)),
        sa.Column("reason", sa.Text),
        sa.Column("plan", sa.Text),
        sa.Column("decision", sa.String(32)),
        sa.Column("why", sa.Text),
        sa.Column("trigger", sa.String(32)),
        sa.Column("ended_by", sa.String(32)),
        sa.Column("recording", sa.Text),
        sa.Column("recording_s", sa.Float),
        sa.Column("cost_money", sa.Float),
        sa.Column("cost_minutes", sa.Float),
        sa.Column("tokens", sa.Integer),
        sa.Column("record", sa.JSON),
    )
    op.create_index("calls_by_time", "calls", ["began", "id"])
    op.create_index("calls_by_caller", "calls", ["caller", "began"])
    op.create_index("calls_by_state", "calls", ["state"])


def _lists() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("list", sa.String(16), nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("dialed", sa.Text),
        sa.Column("until", MOMENT),
        sa.Column("added", MOMENT, nullable=False),
        sa.Column("note", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("entries_by_number", "entries", ["number"])
    op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.execute("INSERT INTO revisions (name, number) VALUES ('entries', 0)")


def _notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("call", sa.String(64)),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due", MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("why", sa.Text),
    )
    op.create_index("notices_by_due", "notices", ["state", "due"])
    op.create_index("notices_by_call", "notices", ["call"])
