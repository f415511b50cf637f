"""Brings a database to the schema of this version, by Alembic, step by step.

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
"""Of PostgreSQL: two processes may start at once."""
_one_at_a_time = threading.Lock()
"""What Alembic is at work on is known to the whole process."""


def revisions() -> list[str]:
    """Every schema that this version knows, the latest last."""
    return sorted(path.name.partition("_")[0] for path in (HERE / "versions").glob("[0-9]*.py"))


def is_up_to_date(connection: Connection, name: str) -> bool:
    """Whether nothing is missing; raises `Unusable` for a later schema. `name`: of the database."""
    with connection.begin():
        return _is_latest(connection, name)


def bring_up_to_date(connection: Connection, name: str) -> None:
    """Make what is missing; raises `Unusable` as above."""
    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not _is_latest(connection, name):  # another process may have been quicker
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
    from alembic import command  # here: it takes a while, and is needed once in the life of a database
    from alembic.config import Config

    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _one_at_a_time:
        command.upgrade(config, "head")
