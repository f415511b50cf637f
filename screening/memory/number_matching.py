"""Whose calls are meant: a call has its caller as the trunk wrote him, and people ask in E.164."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from screening.memory.schema import calls

Alike = Callable[[str, str], bool]
"""Whether the caller of a call, as it has him, is the one who is meant; also told which number he called."""
LAST = 4
"""Digits at the end of a number that no spelling of it leaves out."""


def nobody(caller: str, dialed: str) -> bool:
    """Nobody is meant but by the very same text."""
    return False


def calls_of(connection: Connection, number: str, alike: Alike) -> ColumnElement[bool]:
    """The condition that a call is this caller's."""
    return his(connection, number, alike, calls.c.caller, calls.c.dialed)


def his(
    connection: Connection, number: str, alike: Alike, caller: ColumnElement[str], dialed: ColumnElement[str]
) -> ColumnElement[bool]:
    """The condition that a row is this caller's; it has him, and the number that he called, in these."""
    written = (caller.endswith(number[-LAST:], autoescape=True), caller != number, caller.not_like("+%"))
    others = connection.execute(select(caller, dialed).where(*written).distinct()).all()
    spelled = [and_(caller == one, dialed == called) for one, called in others if alike(one, called)]
    return or_(caller == number, *spelled)
