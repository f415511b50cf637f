"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, String, Text
from sqlalchemy.types import TypeDecorator

MOMENT = DateTime(timezone=True).with_variant(String(32), "sqlite")
"""Storage type of `Moment`. SQLite has no datetime type; its fixed-width text sorts chronologically."""


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. Accepts ISO 8601 text as well; always loads as a `datetime`."""

    impl = MOMENT
    cache_ok = True

    def process_bind_param(self, value: datetime | str | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if isinstance(value, str):
            if dialect.name == "sqlite" and value.endswith("+00:00") and len(value) == 29:
                return value  # already in the stored form, as call records write it
            value = datetime.fromisoformat(value)
        if dialect.name == "sqlite":
            return value.astimezone(UTC).isoformat(timespec="milliseconds")
        return value

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value.astimezone(UTC) if value is not None else None


class Words(TypeDecorator[str]):
    """Text from any source.

    Lone surrogates and NUL, which the databases reject, are replaced by U+FFFD or ``?``.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or value.isprintable():
            return value
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
