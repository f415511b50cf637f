"""Truncates SQLite's write-ahead log (`-wal`), which would otherwise keep deleted rows until overwritten."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import Connection

_MARK = "traces"


def mark(connection: Connection) -> None:
    """Mark the current transaction as having deleted personal data."""
    connection.info[_MARK] = True


def truncate_if_marked(connection: Connection, wait_s: float) -> None:
    """Truncate the log if the last transaction was marked.

    A reader that blocks it postpones it to the next call.
    """
    if _MARK not in connection.info:
        return
    if connection.dialect.name == "sqlite":
        sqlite = cast(Any, connection.connection.driver_connection)
        before = sqlite.execute("PRAGMA busy_timeout").fetchone()[0]
        sqlite.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")
        busy = True
        with suppress(sqlite3.Error):
            busy = bool(sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
        sqlite.execute(f"PRAGMA busy_timeout = {before}")
        if busy:
            return
    del connection.info[_MARK]
