"""What the screening is told of a caller."""

from __future__ import annotations

from dataclasses import replace

from proxy.call.border import Identity
from proxy.call.record import CallRecord
from proxy.call.routing import Number
from screening.contract import Caller, Signed


def who_calls(record: CallRecord, identity: Identity, number: Number) -> Caller:
    """The caller of the call of this record, as he says, or as his trunk is believed to say."""
    agent, diverted_from, attested = number.agent, identity.diverted_from, identity.attested
    return Caller(
        record.call,
        identity.number,
        identity.name,
        number.dialed,
        agent.name if agent else "",
        record.began,
        identity.withheld,
        diverted_from=diverted_from if diverted_from != number.dialed else None,
        trunk=attested.trunk,
        verification=attested.verification,
        callback=attested.callback,
        signed=attested.signed and _also_for(attested.signed, number.dialed),
    )


def _also_for(signed: Signed, dialed: str) -> Signed:
    """A call that was sent on to us may name our number in neither To nor Request-URI."""
    if dialed == "*" or dialed in signed.dests:
        return signed
    return replace(signed, dests=(*signed.dests, dialed))
