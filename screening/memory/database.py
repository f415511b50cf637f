"""Opens the database named by a URL and migrates it to this version's schema."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from json import JSONEncoder
from pathlib import Path
from sqlite3 import Connection as Sqlite
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from screening.memory import migrations, wal_cleanup
from screening.memory.errors import Unavailable, Unusable, error_text

LOCK_TIMEOUT_S = 5.0
"""How long to wait for a lock: for another writer on SQLite, for a table or row lock on PostgreSQL."""
CONNECT_TIMEOUT_S = 5
_POSTGRES_OPTIONS = {
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Connection defaults for PostgreSQL. The encoding overrides the environment; keepalives and the TCP user
timeout detect a server that vanished silently, which TCP alone notices only after 15 minutes to two hours.
"""
_READ_ONLY = "screendoor_reads"
"""Execution option of connections whose transactions only read."""
_TRANSIENT = ("locked", "full", "busy", "disk i/o")
"""Parts of SQLite error messages that name a transient failure."""


class Database:
    """A database; `connect` may be called again after a failure."""

    def __init__(self, url: str) -> None:
        """Raises `Unusable` if the URL is neither SQLite nor PostgreSQL, or the driver is not installed."""
        self._url = _url(url)
        self.file = Path(self._url.database) if _is_sqlite(self._url) and self._url.database else None
        """The SQLite file; None for PostgreSQL."""
        try:
            self._engine = _engine(self._url)
        except ModuleNotFoundError as missing:
            needed = f"{self.name} needs {missing.name}: pip install 'screendoor[postgresql]'"
            raise Unusable(needed) from None
        self._file_stat: os.stat_result | None = None

    @property
    def name(self) -> str:
        """Its URL without the password, safe to show."""
        return self._url.render_as_string(hide_password=True)

    def connect(self) -> Connection:
        """Open a connection, migrating the schema first if it is outdated.

        Raises `Unusable` or `Unavailable`.
        """
        if self.file is not None:
            _create_file(self.file)
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise self._translated(error) from error
        try:
            _require_utf8(connection, self.name)
            connection.execution_options(**{_READ_ONLY: True})
            current = migrations.is_up_to_date(connection, self.name)
            connection.execution_options(**{_READ_ONLY: False})
            if not current:
                migrations.bring_up_to_date(connection, self.name)
            self._file_stat = os.stat(self.file) if self.file is not None else None
        except (SQLAlchemyError, OSError) as error:
            with suppress(SQLAlchemyError):
                connection.close()
            raise (error if isinstance(error, OSError) else self._translated(error)) from error
        return connection

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Connection]:
        """Run one transaction on a connection of its own. Raises `Unusable` or `Unavailable`.

        With `read_only`, the transaction neither blocks writers nor waits for them, however long it takes.
        """
        with self.connect() as connection:
            connection.execution_options(**{_READ_ONLY: read_only})
            try:
                with connection.begin():
                    yield connection
            except DBAPIError as error:
                raise self._translated(error) from error
            wal_cleanup.truncate_if_marked(connection, LOCK_TIMEOUT_S)

    def file_lost(self) -> str | None:
        """Why writes would be lost, or None: SQLite keeps writing to a file that was moved or deleted."""
        if self.file is None or self._file_stat is None:
            return None
        try:
            now = os.stat(self.file)
        except OSError as error:
            return f"{self.file}: {error.strerror}"
        same = (now.st_ino, now.st_dev) == (self._file_stat.st_ino, self._file_stat.st_dev)
        return None if same else f"{self.file} is another file now"

    def _translated(self, error: SQLAlchemyError) -> Unusable | Unavailable:
        text = f"{self.name}: {error_text(error)}"
        if self.file is not None and isinstance(error, DatabaseError):
            transient = isinstance(error, OperationalError) and any(
                each in text.lower() for each in _TRANSIENT
            )
            return Unavailable(text) if transient else Unusable(text)
        return Unavailable(text) if isinstance(error, DBAPIError) else Unusable(text)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except SQLAlchemyError:
        raise Unusable("memory.url: neither sqlite:///FILE nor postgresql://…") from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise Unusable(f"memory.url: neither sqlite:///FILE nor postgresql://…, but {kind}")
    return url.set(drivername="sqlite")


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _engine(url: URL) -> Engine:
    kinds: dict[str, Any] = {
        "poolclass": NullPool,
        "json_serializer": JSONEncoder(separators=(",", ":")).encode,
    }
    if not _is_sqlite(url):
        own = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in url.query}
        engine = create_engine(url, connect_args=own, **kinds)
        event.listen(engine, "connect", _set_lock_timeout)
        return engine
    arguments = {"timeout": LOCK_TIMEOUT_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, **kinds)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_transaction)
    return engine


def _begin_transaction(connection: Connection) -> None:
    """Lock SQLite at BEGIN: a deferred transaction fails at its first write if its snapshot is stale."""
    reads = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _set_pragmas(connection: Sqlite, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _set_lock_timeout(connection: Any, _record: object) -> None:
    """Set the lock timeout by SET: connection poolers reject it as a startup option."""
    connection.execute(f"SET lock_timeout = {int(LOCK_TIMEOUT_S * 1000)}")
    connection.commit()


def _require_utf8(connection: Connection, name: str) -> None:
    """Raises `Unusable` unless PostgreSQL stores UTF-8: other encodings reject calls with foreign letters."""
    if connection.dialect.name == "postgresql":
        server: Any = connection.connection.driver_connection
        encoding = server.info.parameter_status("server_encoding")
        if encoding not in (None, "UTF8"):  # None: a pooler that does not report it
            how = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            raise Unusable(f"{name} keeps text as {encoding}, UTF8 is needed: {how}")


def _create_file(file: Path) -> None:
    """Create the file if it is missing, readable by its owner alone. Raises `Unusable`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror}") from error
