"""The tables, the same on SQLite and PostgreSQL; every change needs a migration in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, text

from screening.memory.column_types import Moment, Words

metadata = MetaData()

_PAID = text("cost_minutes IS NOT NULL")

GOING_ON, OVER, CUT = "going on", "over", "cut"
"""States of a call. CUT: its process ended before the call did."""

calls = Table(
    "calls",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("process", String(32)),
    Column("began", Moment, nullable=False),
    Column("answered", Moment),
    Column("ended", Moment),
    Column("caller", Words),
    Column("caller_name", Words),
    Column("dialed", Words, nullable=False),
    Column("result", String(32)),
    Column("reason", Words),
    Column("plan", Words),
    Column("decision", String(32)),
    Column("why", Words),
    Column("trigger", String(32)),
    Column("ended_by", String(32)),
    Column("recording", Words),
    Column("recording_s", Float),
    Column("cost_money", Float),
    Column("cost_minutes", Float),
    Column("tokens", Integer),
    Column("record", JSON),
    Index("calls_by_time", "began", "id"),
    Index("calls_by_caller", "caller", "began"),
    Index("calls_by_state", "state"),
    Index(
        "calls_by_cost",
        *("began", "dialed", "cost_minutes", "tokens", "cost_money"),
        sqlite_where=_PAID,
        postgresql_where=_PAID,
    ),
)
"""Calls: inserted when one begins, completed when it ends. `record` is the call record without transcript.

`calls_by_cost` holds all that sums of costs need, of the calls that cost anything.
"""

lines = Table(
    "lines",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("speaker", String(16), nullable=False),
    Column("said", Words, nullable=False),
    Column("at_s", Float),
)
"""Transcript lines, ordered by `n` from 0."""

voicemails = Table(
    "voicemails",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("file", Words),
    Column("seconds", Float),
    Column("transcript", Words),
    Column("heard_at", Moment),
    Column("left_at", Moment, nullable=False),
    Column("message", JSON(none_as_null=True)),
    Index("voicemails_by_time", "left_at"),
)
"""Voicemails. `heard_at` is None until played. Messages taken by the agent have no `file`; `message` holds
them as the call record does.
"""

wire = Table(
    "wire",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)
"""Compressed SIP traces of calls, if enabled: see `sip_trace.py`."""

entries = Table(
    "entries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("list", String(16), nullable=False),
    Column("number", Words, nullable=False),
    Column("name", Words),
    Column("dialed", Words),
    Column("until", Moment),
    Column("added", Moment, nullable=False),
    Column("note", Words),
    Column("calls", Integer),
    Index("entries_by_number", "number"),
    sqlite_autoincrement=True,
)
"""List entries: allow, block, vip, contact, expected. `dialed` None: all numbers; `until` None: no expiry;
`calls`: expected calls still to come, None: not counted.
"""

notices = Table(
    "notices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("event", String(64), nullable=False),
    Column("target", Words, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("call", String(64)),
    Column("created", Moment, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("why", Words),
    Index("notices_by_due", "state", "due"),
    Index("notices_by_call", "call"),
)
"""Notices to the user: waiting, done or given up. `why`: the error of the last attempt."""

processes = Table(
    "processes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("place", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("began", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
)
"""Running processes and their last heartbeats; `place` is where the `pid` is meaningful."""

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
)
"""Revision numbers, incremented with each change of what `name` refers to, for readers to poll."""
