"""Database errors, in the two kinds that callers tell apart."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError


class Unusable(OSError):
    """Permanent: the file is not writable, is not a database of ours, or has a later version's schema."""


class Unavailable(Exception):
    """Temporary: the database is locked, full or unreachable."""


def error_text(error: BaseException) -> str:
    """The first line of a database error's message."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, SQLAlchemyError):
        cause = cause.__cause__ or cause
    lines = str(cause).strip().splitlines()
    return lines[0].strip() if lines else type(cause).__name__
