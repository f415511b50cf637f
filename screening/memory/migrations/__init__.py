"""Migrates a database to this version's schema, by Alembic.

Each step is a file in `versions`, named after its revision: ``0001_first.py``, ``0002_…``.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from screening.memory.errors import Unusable

HERE = Path(__file__).parent
_LOCK = 0x5C2EE4D0
"""PostgreSQL advisory lock: two processes may start at once."""
_one_at_a_time = threading.Lock()
"""Alembic keeps its context in module globals."""


def revisions() -> list[str]:
    """All schema revisions this version knows, oldest first."""
    return sorted(path.name.partition("_")[0] for path in (HERE / "versions").glob("[0-9]*.py"))


def is_up_to_date(connection: Connection, name: str) -> bool:
    """Whether the schema is current.

    Raises `Unusable` for a later version's. `name` identifies the database.
    """
    with connection.begin():
        return _is_latest(connection, name)


def bring_up_to_date(connection: Connection, name: str) -> None:
    """Run the missing migrations. Raises `Unusable` for a later version's schema."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not _is_latest(connection, name):  # another process may have been faster
            _upgrade(connection)


def _is_latest(connection: Connection, name: str) -> bool:
    known, found = revisions(), _revision(connection)
    if found is not None and found not in known:
        raise Unusable(
            f"{name} was made by a later version of Screendoor (its schema is {found}, this version "
            f"knows up to {known[-1]}): install that version again, or use another database"
        )
    return found == known[-1]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # imported here: slow, and needed once per database
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, "head")
