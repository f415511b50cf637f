"""What the screening is told of a caller."""

from __future__ import annotations

from proxy.call.border import Identity
from proxy.call.record import CallRecord
from proxy.call.routing import Number
from screening.contract import Caller


def who_calls(record: CallRecord, identity: Identity, number: Number) -> Caller:
    """The caller of the call of this record, as he says, or as his trunk is believed to say."""
    agent, diverted_from = number.agent, identity.diverted_from
    return Caller(
        call=record.call,
        number=identity.number,
        name=identity.name,
        dialed=number.dialed,
        agent=agent.name if agent else "",
        at=record.began,
        privacy=identity.withheld,
        diverted_from=diverted_from if diverted_from != number.dialed else None,
    )
