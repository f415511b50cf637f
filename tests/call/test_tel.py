"""`tel:` URIs wherever a number may appear (RFC 3966)."""

from __future__ import annotations

import pytest

from proxy.call.border import Identity
from proxy.call.outcome import Result
from tests.kit import messages
from tests.kit.edge import PHONE_NUMBER, Edge, summary


async def test_a_call_with_tel_uris_in_request_uri_from_and_refer_to_is_bridged_rfc3966(edge: Edge) -> None:
    await edge.carrier.invites(uri="tel:+1-415-555-1234", caller='"Bob" <tel:+1-212-555-0100>')
    call = await edge.agent.answers()
    assert call.invite is not None
    assert str(call.invite.from_.uri) == "sip:+12125550100@sbc.example.com"
    await edge.carrier.receives(200)
    assert (await edge.agent.refers("tel:+1-415-555-9876")).status == 202
    rung = await edge.phone.answers()
    assert rung.invite is not None
    assert rung.invite.target.user == PHONE_NUMBER
    await edge.agent.receives("BYE")
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
    assert (record.caller, record.dialed) == ("+12125550100", "+14155551234")
    await edge.assert_clean()


@pytest.mark.parametrize(
    ("sender", "number"),
    [
        ("<tel:+12125550100>", "+12125550100"),
        ("<tel:+1-212-555-0100>", "+12125550100"),
        ("<tel:555-0100;phone-context=example.com>", "5550100"),
        ("<sip:%2B12125550100@carrier.example;user=phone>", "+12125550100"),
        ("<sip:12125550100@carrier.example>", "12125550100"),
        ("<sip:alice@carrier.example>", None),
        ("<tel:anonymous>", None),
    ],
)
def test_the_callers_number_is_taken_from_a_tel_or_sip_uri_in_from(sender: str, number: str | None) -> None:
    invite = messages.invite()
    invite.headers.set("From", f"{sender};tag=a")
    assert Identity.of(invite).number == number
