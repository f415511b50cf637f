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
    other = select(calls.c.caller).where(
        calls.c.caller.endswith(number[-LAST:], autoescape=True),
        calls.c.caller != number,
        calls.c.caller.not_like("+%"),
    )
    if not (others := connection.execute(other.distinct()).scalars().all()):
        return calls.c.caller == number
    pairs = select(calls.c.caller, calls.c.dialed).where(calls.c.caller.in_(others)).distinct()
    his = [(caller, dialed) for caller, dialed in connection.execute(pairs).all() if alike(caller, dialed)]
    spelled = [and_(calls.c.caller == caller, calls.c.dialed == dialed) for caller, dialed in his]
    return or_(calls.c.caller == number, *spelled)
