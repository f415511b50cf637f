"""What can be wrong with the database."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError


class Unusable(OSError):
    """It cannot be used as it is: its file cannot be written, is none of ours, or of a later version."""


class Away(Exception):
    """It cannot be used now: locked, full, not reachable."""


def said(error: BaseException) -> str:
    """One line of what a database said."""
    told = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(told, SQLAlchemyError):
        told = told.__cause__ or told
    lines = str(told).strip().splitlines()
    return lines[0].strip() if lines else type(told).__name__
