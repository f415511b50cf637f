"""Finds the calls of one caller: users ask in E.164, while rows hold the number as the trunk sent it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from screening.memory.schema import calls

Alike = Callable[[str, str], bool]
"""Whether a stored caller number is the wanted caller; the second argument is the dialed number."""
LAST = 4
"""Trailing digits that every spelling of a number shares."""


def nobody(caller: str, dialed: str) -> bool:
    """Match no other spelling."""
    return False


def calls_of(connection: Connection, number: str, alike: Alike) -> ColumnElement[bool]:
    """SQL condition: the call is from this caller."""
    return his(connection, number, alike, calls.c.caller, calls.c.dialed)


def his(
    connection: Connection, number: str, alike: Alike, caller: ColumnElement[str], dialed: ColumnElement[str]
) -> ColumnElement[bool]:
    """SQL condition: the row is from this caller, given its columns of the caller and the dialed number."""
    written = (caller.endswith(number[-LAST:], autoescape=True), caller != number, caller.not_like("+%"))
    others = connection.execute(select(caller, dialed).where(*written).distinct()).all()
    spelled = [and_(caller == one, dialed == called) for one, called in others if alike(one, called)]
    return or_(caller == number, *spelled)
