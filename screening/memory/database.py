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
from screening.memory.errors import Away, Unusable, said

LOCKED_S = 5.0
"""How long to wait for a lock: for another writer on SQLite, for a table or row lock on PostgreSQL."""
CONNECT_S = 5
_SERVER = {
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Connection defaults for PostgreSQL. The encoding overrides the environment; keepalives and the TCP user
timeout detect a server that vanished silently, which TCP alone notices only after 15 minutes to two hours.
"""
_READS = "screendoor_reads"
"""Execution option of connections whose transactions only read."""
_PASSING = ("locked", "full", "busy", "disk i/o")
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
        self._opened: os.stat_result | None = None

    @property
    def name(self) -> str:
        """Its URL without the password, safe to show."""
        return self._url.render_as_string(hide_password=True)

    def connect(self) -> Connection:
        """Open a connection, migrating the schema first if it is outdated. Raises `Unusable` or `Away`."""
        if self.file is not None:
            _writable(self.file)
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise self._trouble(error) from error
        try:
            _has_every_letter(connection, self.name)
            connection.execution_options(**{_READS: True})
            current = migrations.is_up_to_date(connection, self.name)
            connection.execution_options(**{_READS: False})
            if not current:
                migrations.bring_up_to_date(connection, self.name)
            self._opened = os.stat(self.file) if self.file is not None else None
        except (SQLAlchemyError, OSError) as error:
            with suppress(SQLAlchemyError):
                connection.close()
            raise (error if isinstance(error, OSError) else self._trouble(error)) from error
        return connection

    @contextmanager
    def transaction(self, *, reads: bool = False) -> Iterator[Connection]:
        """Run one transaction on a connection of its own. Raises `Unusable` or `Away`.

        With `reads`, the transaction neither blocks writers nor waits for them, however long it takes.
        """
        with self.connect() as connection:
            connection.execution_options(**{_READS: reads})
            try:
                with connection.begin():
                    yield connection
            except DBAPIError as error:
                raise self._trouble(error) from error
            wal_cleanup.wipe(connection, LOCKED_S)

    def gone(self) -> str | None:
        """Why writes would be lost, or None: SQLite keeps writing to a file that was moved or deleted."""
        if self.file is None or self._opened is None:
            return None
        try:
            now = os.stat(self.file)
        except OSError as error:
            return f"{self.file}: {error.strerror}"
        same = (now.st_ino, now.st_dev) == (self._opened.st_ino, self._opened.st_dev)
        return None if same else f"{self.file} is another file now"

    def _trouble(self, error: SQLAlchemyError) -> Unusable | Away:
        text = f"{self.name}: {said(error)}"
        if self.file is not None and isinstance(error, DatabaseError):
            passing = isinstance(error, OperationalError) and any(each in text.lower() for each in _PASSING)
            return Away(text) if passing else Unusable(text)
        return Away(text) if isinstance(error, DBAPIError) else Unusable(text)


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
        own = {name: value for name, value in _SERVER.items() if name not in url.query}
        engine = create_engine(url, connect_args=own, **kinds)
        event.listen(engine, "connect", _server_terms)
        return engine
    arguments = {"timeout": LOCKED_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, **kinds)
    event.listen(engine, "connect", _sqlite_terms)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Take SQLite's write lock at BEGIN. A deferred transaction whose snapshot is stale fails at its first
    write.
    """
    reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _sqlite_terms(connection: Sqlite, _record: object) -> None:
    connection.isolation_level = None
    for term in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {term}")


def _server_terms(connection: Any, _record: object) -> None:
    """Set the lock timeout by SET: connection poolers reject it as a startup option."""
    connection.execute(f"SET lock_timeout = {int(LOCKED_S * 1000)}")
    connection.commit()


def _has_every_letter(connection: Connection, name: str) -> None:
    """Raises `Unusable` unless PostgreSQL stores UTF-8: other encodings reject calls with foreign letters."""
    if connection.dialect.name == "postgresql":
        server: Any = connection.connection.driver_connection
        encoding = server.info.parameter_status("server_encoding")
        if encoding not in (None, "UTF8"):  # None: a pooler that does not report it
            how = "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            raise Unusable(f"{name} keeps text as {encoding}, UTF8 is needed: {how}")


def _writable(file: Path) -> None:
    """Create the file if it is missing, readable by its owner alone. Raises `Unusable`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror}") from error
