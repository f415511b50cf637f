"""Detects our own calls that come back: a phone that we are ringing has forwarded the call to our number.

Many mobiles are set to forward unanswered calls to the very number that is screened here. Taken as a new call
it would be screened again, ring that phone again, and be forwarded again.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.call.record import CallRecord
from proxy.call.routing import Number, dialable
from proxy.sip.identity import Diversion, HistoryEntry, asserted
from proxy.sip.message import Request

FEWEST_DIGITS = 6
"""How many digits two numbers must at least share at their ends to count as the same."""


def may_be_forwarded_back(invite: Request, dialed: str) -> bool:
    """Cheap check for the few INVITEs worth a closer look: forwarded ones, or from the called number."""
    first = invite.headers.first
    return "diversion" in first or "history-info" in first or dialed in first["from"]


def is_forwarded_back(invite: Request, record: CallRecord, number: Number) -> bool:
    """Whether this INVITE is the call of this record, forwarded by one of its phones that ring for `number`.

    If so, its caller is the one that our INVITE showed to that phone. Any other caller, forwarded by a phone
    that is busy, say, is a new call.
    """
    callers, forwarders = set(_caller_numbers(invite)), set(_forwarders(invite))
    for leg in record.legs:
        if not leg.name.startswith("phone") or leg.answered is not None or leg.ended is not None:
            continue
        destination = next(
            (destination for destination in number.destinations if destination.uri == leg.peer), None
        )
        if destination is None:
            continue
        shown = (record.caller, destination.trunk.caller_id if destination.trunk else None, number.dialed)
        sent_on = number.dialed in callers or any(
            same_number(party, destination.number) for party in forwarders
        )
        if sent_on and any(same_number(caller, each) for caller in callers for each in shown):
            return True
    return False


def same_number(first: str | None, second: str | None) -> bool:
    """Whether two numbers end in the same digits, as carriers write one number in several ways."""
    short, long = sorted(((first or "").lstrip("+0"), (second or "").lstrip("+0")), key=len)
    return long.endswith(short) and len(short) >= FEWEST_DIGITS


def _caller_numbers(invite: Request) -> Iterator[str]:
    for party in (invite.sender, *asserted(invite.headers)):
        if found := dialable(party.uri.user):
            yield found


def _forwarders(invite: Request) -> Iterator[str]:
    diverted = [each.party for each in Diversion.all(invite.headers)]
    for party in (*diverted, *(each.party for each in HistoryEntry.all(invite.headers))):
        if found := dialable(party.uri.user):
            yield found
