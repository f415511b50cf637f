"""What the screening is told about a caller."""

from __future__ import annotations

from dataclasses import replace

from proxy.call.border import Identity
from proxy.call.record import CallRecord
from proxy.call.routing import Agent, Number
from screening.contract import Caller, IdentityHeaders


def describe_caller(
    record: CallRecord, identity: Identity, number: Number, agent: Agent | None = None
) -> Caller:
    """The `Caller` of a call, from its INVITE as far as the sender is trusted.

    `agent`: the agent to call first.
    """
    diverted_from, attested = identity.diverted_from, identity.attested
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


def _also_for(signed: IdentityHeaders, dialed: str) -> IdentityHeaders:
    """Accept our number as a destination: a forwarded call may have it in neither To nor Request-URI."""
    if dialed == "*" or dialed in signed.dests:
        return signed
    return replace(signed, dests=(*signed.dests, dialed))
