"""What SQLite's log (`-wal`) says of rows that were deleted, until it is overwritten some day, or emptied."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import Connection

_LEFT = "traces"


def left(connection: Connection) -> None:
    """Something about people was deleted in this transaction."""
    connection.info[_LEFT] = True


def wipe(connection: Connection, wait_s: float) -> None:
    """Empty the log if that is so; after the transaction. Whoever reads for longer has it left for later."""
    if _LEFT not in connection.info:
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
    del connection.info[_LEFT]
