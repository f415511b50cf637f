"""A call of ours that comes round: a phone that rings for it has sent it on, to a number of ours again.

Many a mobile sends what it does not take to the number that is screened here. Taken as a new call it would be
screened, ring that phone, and be sent on again.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.call.record import CallRecord
from proxy.call.routing import Number, dialable
from proxy.sip.identity import Diversion, HistoryEntry, asserted
from proxy.sip.message import Request

FEWEST_DIGITS = 6
"""Of a number that is known by its last digits alone."""


def may_come_round(invite: Request, dialed: str) -> bool:
    """Whether a call was sent on to us, or may show the number that it calls: the rare ones to look at."""
    first = invite.headers.first
    return "diversion" in first or "history-info" in first or dialed in first["from"]


def comes_round(invite: Request, record: CallRecord, number: Number) -> bool:
    """Whether this is a phone of the call of this record, which rings for `number` now, sent on.

    Its caller is then the one that we showed to it: another, whom a phone that is busy sends here, is new.
    """
    callers, by_way_of = set(_callers(invite)), set(_by_way_of(invite))
    for leg in record.legs:
        if not leg.name.startswith("phone") or leg.answered is not None or leg.ended is not None:
            continue
        place = next((place for place in number.destinations if place.uri == leg.peer), None)
        if place is None:
            continue
        shown = (record.caller, place.trunk.caller_id if place.trunk else None, number.dialed)
        sent_on = number.dialed in callers or any(same(party, place.number) for party in by_way_of)
        if sent_on and any(same(caller, each) for caller in callers for each in shown):
            return True
    return False


def same(one: str | None, other: str | None) -> bool:
    """Whether two numbers are the same, as far as the shorter tells: carriers write them in many ways."""
    short, long = sorted(((one or "").lstrip("+0"), (other or "").lstrip("+0")), key=len)
    return long.endswith(short) and len(short) >= FEWEST_DIGITS


def _callers(invite: Request) -> Iterator[str]:
    for party in (invite.sender, *asserted(invite.headers)):
        if found := dialable(party.uri.user):
            yield found


def _by_way_of(invite: Request) -> Iterator[str]:
    diverted = [each.party for each in Diversion.all(invite.headers)]
    for party in (*diverted, *(each.party for each in HistoryEntry.all(invite.headers))):
        if found := dialable(party.uri.user):
            yield found
