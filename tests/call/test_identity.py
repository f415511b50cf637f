"""Caller identity in whole calls: which sources are believed, what is shown, what a carrier may refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.call.border import Identity
from proxy.call.identity_profile import IdentityProfile
from proxy.call.invite_builder import REMEMBERED_S, why
from proxy.call.outcome import Result
from proxy.call.routing import Destination, Number, Routing, Trunk
from proxy.sip.message import Request
from screening.contract import Ring
from tests.call.test_border import received
from tests.kit.edge import CARRIER, PHONE_NUMBER, Edge, NewEdge, a_number, summary
from tests.kit.messages import Pairs, invite, response

DID, OWN, ANN = "+14155551234", "+14155550100", "+13475550148"


def through(profile: IdentityProfile, **changes: object) -> Number:
    trunk = Trunk("trunk", "sip:trunk.example.com", "screendoor", "secret", OWN, identity=profile)
    place = Destination(f"sip:{PHONE_NUMBER}@trunk.example.com", PHONE_NUMBER, trunk)
    return a_number(destinations=(place,), **changes)


def invited(edge: Edge) -> list[str]:
    """The user part of From in each INVITE that reached the phone's trunk."""
    let_through = [each for each in received(edge.phone, "INVITE") if "Proxy-Authorization" in each.headers]
    return [each.from_.uri.user or "" for each in let_through]


async def rings_unscreened(edge: Edge) -> None:
    edge.screener.planned = Ring("the caller is known")
    await edge.carrier.invites()


# A carrier that answers 403.


async def test_a_403_repeats_the_call_with_the_profile_trunk_did(new_edge: NewEdge) -> None:
    async with new_edge(audio=False, number=through(IdentityProfile.ORIGINAL_WITH_DIVERSION)) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(403, headers=(("Warning", '399 telnyx "Number not verified D51"'),))
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        assert invited(edge) == [ANN, OWN]
        assert edge.notify_statuses() == [100, 200]
        assert [step for step in record.steps if step.startswith("identity")] == [
            "identity refused: trunk trunk answers 403 (Telnyx D51) to original_with_diversion: "
            "called again as trunk_did, and so for an hour"
        ]
        assert [leg.name for leg in record.legs] == ["caller", "agent", "phone"]
        [_, refused, _, again] = received(edge.phone, "INVITE")
        assert "Diversion" in refused.headers
        assert "Diversion" not in again.headers
        assert refused.call_id != again.call_id  # RFC 3261 §21.4.4: the same request must not be retried
        assert refused.from_tag != again.from_tag
        assert record.legs[-1].call_ids == (refused.call_id, again.call_id)
        await edge.assert_clean()


BLOCKED = (("Reason", 'Q.850;cause=21;text="v=analytics1;url=https://carrier.example/redress"'),)


async def test_a_603_for_a_blocked_number_repeats_the_call_with_our_number(new_edge: NewEdge) -> None:
    async with new_edge(audio=False, number=through(IdentityProfile.PAI_ORIGINAL)) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(603, headers=BLOCKED)
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert summary(record) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        asserts = ["P-Asserted-Identity" in each.headers for each in received(edge.phone, "INVITE")]
        assert asserts == [True, True, False, False]
        assert "number blocked: a network blocks the caller's: called again as trunk_did" in record.steps
        await edge.assert_clean()


async def test_a_603_for_our_own_blocked_number_is_no_decline_and_the_next_destination_rings(
    new_edge: NewEdge,
) -> None:
    number = through(IdentityProfile.TRUNK_DID)
    other = Destination("sip:+14155559877@trunk.example.com", "+14155559877", number.destinations[0].trunk)
    number = replace(number, destinations=(*number.destinations, other))
    async with new_edge(audio=False, number=number) as edge:
        await rings_unscreened(edge)
        await edge.phone.rejects(603, headers=BLOCKED)
        await edge.phone.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert summary(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()


async def test_after_a_403_the_trunk_is_called_with_trunk_did_for_an_hour(new_edge: NewEdge) -> None:
    async with new_edge(audio=False, number=through(IdentityProfile.PAI_ORIGINAL)) as edge:

        async def call(*, refuses: bool) -> list[bool]:
            """Make one call; returns for each of its INVITEs whether it asserted the caller."""
            before = len(received(edge.phone, "INVITE"))
            await rings_unscreened(edge)
            if refuses:
                await edge.phone.rejects(403)
            await edge.phone.answers()
            await edge.carrier.hangs_up()
            await edge.phone.receives("BYE")
            sent = received(edge.phone, "INVITE")[before:]
            return [
                "P-Asserted-Identity" in each.headers
                for each in sent
                if "Proxy-Authorization" in each.headers
            ]

        assert await call(refuses=True) == [True, False]
        assert await call(refuses=False) == [False]
        await edge.time_passes(REMEMBERED_S - 60)
        assert await call(refuses=False) == [False]
        await edge.time_passes(60)
        assert await call(refuses=False) == [True]
        assert await call(refuses=False) == [True]
        await edge.assert_clean(calls=5)


async def test_a_403_to_trunk_did_too_is_not_remembered_as_an_identity_refusal(new_edge: NewEdge) -> None:
    """Nothing is remembered and no third identity is tried: the destination has declined."""
    number = through(IdentityProfile.ORIGINAL_WITH_DIVERSION)
    async with new_edge(audio=False, number=number) as edge:
        for attempt in (1, 2):
            await rings_unscreened(edge)
            await edge.phone.rejects(403)
            await edge.phone.rejects(403)
            await edge.carrier.receives(200)  # voicemail
            await edge.carrier.hangs_up()
            await edge.over(attempt)
        assert invited(edge) == [ANN, OWN, ANN, OWN]
        for record in edge.records:
            assert record.legs[-1].end == "403 Forbidden"
            assert "identity not to blame: trunk trunk answers 403 to it, too" in record.steps
        await edge.assert_clean(calls=2)


@pytest.mark.parametrize("status", [404, 480, 486, 603])
async def test_other_refusals_do_not_repeat_the_call_with_trunk_did(new_edge: NewEdge, status: int) -> None:
    async with new_edge(audio=False, number=through(IdentityProfile.ORIGINAL_WITH_DIVERSION)) as edge:
        await rings_unscreened(edge)
        await edge.phone.rejects(status)
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await edge.over()
        assert invited(edge) == [ANN]
        await edge.assert_clean()


async def test_a_403_to_trunk_did_is_not_retried(edge: Edge) -> None:
    await rings_unscreened(edge)
    await edge.phone.rejects(403)
    await edge.carrier.receives(200)
    await edge.carrier.hangs_up()
    record = await edge.over()
    assert invited(edge) == [OWN]
    assert not [step for step in record.steps if step.startswith("identity")]
    await edge.assert_clean()


async def test_a_cancelled_call_is_not_repeated_with_trunk_did(new_edge: NewEdge) -> None:
    """The caller's CANCEL crosses the 403: no second INVITE is sent."""
    async with new_edge(audio=False, number=through(IdentityProfile.ORIGINAL_WITH_DIVERSION)) as edge:
        await rings_unscreened(edge)
        await edge.phone.rings()
        await edge.carrier.cancels()
        await edge.phone.receives("CANCEL")
        await edge.over()
        assert invited(edge) == [ANN]
        await edge.assert_clean(faults=False)


@pytest.mark.parametrize(
    ("reason", "headers", "said"),
    [
        ("Forbidden", [], "403"),
        ("Caller Origination Number is Invalid D35", [], "403 (Telnyx D35)"),
        ("Forbidden", [("Warning", '399 t "d36"')], "403 (Telnyx D36)"),
        ("Forbidden", [("Reason", 'Q.850;cause=21;text="x D51"')], "403 (Telnyx D51)"),
        (
            "Forbidden",
            [("X-Twilio-Error", "32204 +13475550148 unauthorized")],
            "403 (Twilio 32204)",
        ),
        ("To +1D351 D350", [], "403"),
    ],
)
def test_an_identity_refusal_is_logged_by_its_carrier_code_without_its_text(
    reason: str, headers: Pairs, said: str
) -> None:
    assert why(response(invite(), 403, reason, headers=headers)) == said


# Which sources are believed.


def from_(sender: str, *headers: tuple[str, str]) -> Request:
    request = invite(headers=headers)
    request.headers.set("From", f"{sender};tag=1")
    return request


ANN_SAYS = f'"Ann" <sip:{ANN}@a.example>'
ASSERTED = ("P-Asserted-Identity", '"Bob" <sip:+12125550177@a.example>')


@pytest.mark.parametrize(
    ("request_", "number", "name"),
    [
        (from_(ANN_SAYS), ANN, "Ann"),
        (from_(ANN_SAYS, ASSERTED), "+12125550177", "Bob"),
        (from_(ANN_SAYS, ("P-Asserted-Identity", "<tel:+12125550177>")), "+12125550177", "Ann"),
        (
            from_(ANN_SAYS, ("P-Asserted-Identity", '"B" <sip:bob@a.example>, <tel:+12125550177>')),
            "+12125550177",
            "B",
        ),
        (from_(ANN_SAYS, ("P-Asserted-Identity", '"B" <sip:bob@a.example>')), ANN, "B"),
        (from_(ANN_SAYS, ("P-Asserted-Identity", "junk <")), ANN, "Ann"),
        (
            from_(ANN_SAYS, ("P-Asserted-Identity", "<sip:+12125550177;verstat=No-TN-Validation@a>")),
            "+12125550177",
            "Ann",
        ),
        (from_(f"<sip:{ANN};verstat=No-TN-Validation@a.example>"), ANN, None),
        (from_(f"<sip:{ANN}@a.example>;verstat=TN-Validation-Passed-B"), ANN, None),
        (from_(ANN_SAYS, ("P-Preferred-Identity", "<sip:+12125550177@a.example>")), ANN, "Ann"),
        (from_(ANN_SAYS, ("Remote-Party-ID", "<sip:+12125550177@a>;screen=yes")), "+12125550177", "Ann"),
        (from_(ANN_SAYS, ("Remote-Party-ID", "<sip:+12125550177@a>;screen=no")), ANN, "Ann"),
        (from_(ANN_SAYS, ("Remote-Party-ID", "<sip:+1@a>;screen=yes"), ASSERTED), "+12125550177", "Bob"),
        (from_("<sip:unavailable@a.example>", ASSERTED), "+12125550177", "Bob"),
        (from_("<sip:anonymous@anonymous.invalid>", ASSERTED, ("Privacy", "none")), "+12125550177", "Bob"),
    ],
)  # fmt: skip
def test_the_asserted_identity_of_a_trusted_carrier_overrides_from_rfc3325_5(
    request_: Request, number: str, name: str | None
) -> None:
    caller = Identity.of(request_, trusted=True)
    assert (caller.number, caller.name, caller.withheld) == (number, name, False)


@pytest.mark.parametrize(
    "headers",
    [
        [ASSERTED],
        [("Remote-Party-ID", "<sip:+12125550177@a>;screen=yes;privacy=full")],
        [("Diversion", "<sip:+12125550177@a>")],
        [("History-Info", "<sip:+12125550177@a>;index=1, <sip:x@a>;index=1.1")],
    ],
)
def test_from_an_untrusted_source_only_the_from_header_is_read_rfc3325_5(headers: Pairs) -> None:
    assert Identity.of(from_(ANN_SAYS, *headers)) == Identity(ANN, "Ann", 69)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    "request_",
    [
        from_(ANN_SAYS, ASSERTED, ("Privacy", "id")),
        from_(ANN_SAYS, ASSERTED, ("Privacy", "header;user;critical")),
        from_(ANN_SAYS, ("Privacy", "id")),
        from_('"Anonymous" <sip:anonymous@anonymous.invalid>', ASSERTED),
        from_('"Anonymous" <sip:anonymous@anonymous.invalid>', ASSERTED, ("Privacy", "id")),
    ],
)
def test_privacy_is_honoured_from_trusted_and_untrusted_sources_rfc3323_4_2(
    request_: Request, trusted: bool
) -> None:
    assert Identity.of(request_, trusted=trusted) == Identity(None, None, 69, withheld=True)


def test_remote_party_id_with_privacy_full_withholds_the_number() -> None:
    request = from_(ANN_SAYS, ("Remote-Party-ID", f"<sip:{ANN}@a>;party=calling;screen=yes;privacy=full"))
    assert Identity.of(request, trusted=True).withheld


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ([], None),
        ([("Diversion", "<sip:+1@a>;reason=no-answer, <sip:+2@a>")], "+1"),
        ([("Diversion", "<sip:voicemail@a>, <tel:+2>")], "+2"),
        ([("Diversion", "<sip:+1@a>;privacy=full, <sip:+2@a>")], None),
        ([("History-Info", "<sip:+1@a>;index=1, <sip:+2@a>;index=1.1, <sip:x@b>;index=1.2")], "+2"),
        ([("History-Info", "<sip:+1@a?Privacy=history>;index=1, <sip:x@b>;index=1.1")], None),
        ([("History-Info", "<sip:+1@a>;index=1")], None),
        ([("Diversion", "<sip:+1@a>"), ("History-Info", "<sip:+2@a>;index=1, <sip:x@b>;index=1.1")], "+1"),
    ],
)
def test_the_diverting_number_is_read_from_diversion_or_history_info_rfc5806_4_rfc7044_5(
    headers: Pairs, number: str | None
) -> None:
    assert Identity.of(from_(ANN_SAYS, *headers), trusted=True).diverted_from == number


@pytest.mark.parametrize(
    "headers",
    [
        [("Diversion", f"<sip:+19005550100@a>, <sip:{DID}@carrier.example>;reason=unconditional")],
        [("Diversion", "<tel:+1-415-555-1234>")],
        [("History-Info", f"<sip:{DID}@carrier.example>;index=1, <sip:inbound@sbc.example.com>;index=1.1")],
        [("History-Info", f"<sip:{DID}@carrier.example>;index=1")],
    ],
)
def test_a_trusted_carriers_diverting_number_selects_the_dialed_number(headers: Pairs) -> None:
    number, rest = a_number(), a_number(dialed="*")
    request = invite("sip:inbound@sbc.example.com", headers=headers)
    assert Routing([number]).find(request, trusted=True) is number
    assert Routing([number, rest]).find(request, trusted=True) is number
    assert Routing([number]).find(request) is None
    assert Routing([number, rest]).find(request) is rest


def test_the_dialed_number_takes_precedence_over_a_diverting_number() -> None:
    number, other = a_number(), a_number(dialed="+14155550002")
    request = invite(f"sip:{DID}@sbc.example.com", headers=[("Diversion", "<sip:+14155550002@a>")])
    assert Routing([number, other]).find(request, trusted=True) is number


# The same in whole calls.


async def test_the_screening_gets_the_asserted_and_diverting_numbers_of_a_trusted_carrier(edge: Edge) -> None:
    await edge.carrier.invites(headers=[ASSERTED, ("Diversion", "<sip:+12125550166@a>")])
    request = await edge.agent.receives("INVITE")
    assert request.from_.uri.user == "+12125550177"
    [caller] = edge.screener.callers
    assert (caller.number, caller.name, caller.privacy) == ("+12125550177", "Bob", False)
    assert caller.diverted_from == "+12125550166"
    await edge.carrier.cancels()
    assert (await edge.over()).caller == "+12125550177"
    await edge.assert_clean()


async def test_the_asserted_identity_of_an_untrusted_carrier_is_ignored(edge: Edge) -> None:
    edge.trusted.clear()
    await edge.carrier.invites(headers=[ASSERTED, ("Diversion", "<sip:+12125550166@a>")])
    request = await edge.agent.receives("INVITE")
    assert request.from_.uri.user == ANN
    [caller] = edge.screener.callers
    assert (caller.number, caller.name, caller.diverted_from) == (ANN, "Ann Caller", None)
    await edge.carrier.cancels()
    await edge.assert_clean()


async def test_a_withheld_number_reaches_neither_screening_record_agent_nor_phone(new_edge: NewEdge) -> None:
    """Not to the agent, the screening, the phone, the record or its legs, though the carrier sent it."""
    async with new_edge(audio=False, number=through(IdentityProfile.ORIGINAL_WITH_DIVERSION)) as edge:
        hidden = [("P-Asserted-Identity", f"<sip:{ANN}@a.example>"), ("Privacy", "id")]
        await edge.carrier.invites(headers=hidden)
        await edge.agent.answers()
        await edge.carrier.receives(200)
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        await edge.carrier.hangs_up()
        record = await edge.over()
        [caller] = edge.screener.callers
        assert (caller.number, caller.name, caller.privacy) == (None, None, True)
        assert record.caller is None
        assert ANN[1:] not in str(record.as_dict())
        for sent in edge.wire.trace:
            if sent.destination[0] != CARRIER and sent.source[0] != CARRIER:
                assert ANN[1:].encode() not in sent.data
        assert received(edge.phone, "INVITE")[-1].headers.get("Privacy") == "id"
        await edge.assert_clean()


async def test_a_diversion_header_with_the_dialed_number_is_no_diverting_number(edge: Edge) -> None:
    await edge.carrier.invites(dialed="inbound", headers=[("Diversion", f"<sip:{DID}@a>")])
    await edge.agent.receives("INVITE")
    [caller] = edge.screener.callers
    assert (caller.dialed, caller.diverted_from) == (DID, None)
    await edge.carrier.cancels()
    await edge.assert_clean()
