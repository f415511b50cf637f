"""The tables, the same on SQLite and PostgreSQL. A change of them is a migration in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table

from screening.memory.column_types import Moment, Words

metadata = MetaData()

GOING_ON, OVER, CUT = "going on", "over", "cut"
"""The states of a call: cut is one whose process ended before it."""

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
)
"""Calls: a row when one begins, all of it when it is over. `record` is the call record but its transcript."""

lines = Table(
    "lines",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("speaker", String(16), nullable=False),
    Column("said", Words, nullable=False),
    Column("at_s", Float),
)
"""Transcripts, a line each, in the order of `n` from 0."""

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
"""Messages; `heard_at` is None until somebody has listened. Those that the agent took have no
`file`, but a `message`, as records have it.
"""

wire = Table(
    "wire",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)
"""The SIP of calls, where it is kept: see `wire.py`."""

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
"""Lists: allow, block, vip, contact, expected. `dialed` None: for every number; `until` None: for good.
`calls`: how many expected ones are still to come; None: they are not counted.
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
"""What the user is to be told: waiting, done, given up. `why`: what went wrong with the last try."""

processes = Table(
    "processes",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("place", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("began", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
)
"""Who takes calls now, and said so last when; `place` is where a `pid` means something."""

revisions = Table(
    "revisions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
)
"""A number that grows with each change of what `name` says, for those who look whether there was one."""
