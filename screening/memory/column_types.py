"""Kinds of columns that are alike on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, String, Text
from sqlalchemy.types import TypeDecorator

MOMENT = DateTime(timezone=True).with_variant(String(32), "sqlite")
"""How a `Moment` is kept: SQLite has no times, and what is written alike is in order alike."""


class Moment(TypeDecorator[datetime]):
    """A time with its zone, in UTC; may be given as ISO 8601 too, and comes back as a `datetime`."""

    impl = MOMENT
    cache_ok = True

    def process_bind_param(self, value: datetime | str | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if isinstance(value, str):
            if dialect.name == "sqlite" and value.endswith("+00:00") and len(value) == 29:
                return value  # as records have it
            value = datetime.fromisoformat(value)
        if dialect.name == "sqlite":
            return value.astimezone(UTC).isoformat(timespec="milliseconds")
        return value

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value.astimezone(UTC) if value is not None else None


class Words(TypeDecorator[str]):
    """Text from anywhere: what neither database takes (half of a pair, NUL) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or value.isprintable():
            return value
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
