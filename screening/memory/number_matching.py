"""Finds the calls of one caller: users ask in E.164, while rows hold the number as the trunk sent it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from screening.memory.schema import calls

SameCaller = Callable[[str, str], bool]
"""Whether a stored caller number is the wanted caller; the second argument is the dialed number."""
COMMON_DIGITS = 4
"""Trailing digits that every spelling of a number shares."""


def exact_only(caller: str, dialed: str) -> bool:
    """Match no other spelling."""
    return False


def calls_from(connection: Connection, number: str, same_caller: SameCaller) -> ColumnElement[bool]:
    """SQL condition: the call is from this caller."""
    return from_caller(connection, number, same_caller, calls.c.caller, calls.c.dialed)


def from_caller(
    connection: Connection,
    number: str,
    same_caller: SameCaller,
    caller: ColumnElement[str],
    dialed: ColumnElement[str],
) -> ColumnElement[bool]:
    """SQL condition: the row is from this caller, given its columns of the caller and the dialed number."""
    written = (
        caller.endswith(number[-COMMON_DIGITS:], autoescape=True),
        caller != number,
        caller.not_like("+%"),
    )
    others = connection.execute(select(caller, dialed).where(*written).distinct()).all()
    spelled = [
        and_(caller == spelling, dialed == called)
        for spelling, called in others
        if same_caller(spelling, called)
    ]
    return or_(caller == number, *spelled)
