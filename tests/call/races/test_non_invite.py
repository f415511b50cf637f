"""Non-INVITE requests that are answered late or never (RFC 4320)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.ua.reason import EndReason
from tests.kit.edge import CARRIER, OPENAI, PHONE_NUMBER, TRUNK, NewEdge, story
from tests.kit.races import (
    Losing,
    a_race,
    arrival_times,
    established_call,
    heard,
    hears,
    our_leg,
    peer,
    rough_network,
    settled,
    withhold_acks,
)

ADDRESS = {"caller": CARRIER, "agent": OPENAI, "phone": TRUNK}
BYES = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
"""When a BYE is retransmitted (Timer E): T1 doubled up to T2, until Timer F."""


async def test_our_bye_that_nobody_answers_is_given_up_after_timer_f_rfc3261_17_1_2_2(
    new_edge: NewEdge, leg: str
) -> None:
    async with a_race(new_edge) as edge:
        call = await established_call(edge, leg)
        with Losing(edge, ADDRESS[leg], "SIP/2.0 200", to_edge=True):
            our_leg(edge, leg).end(EndReason.COMPLETED)
            await edge.passes(50)
        sent = arrival_times(call, "BYE")
        assert [round(at - sent[0], 3) for at in sent] == BYES
        await settled(edge)


async def test_an_answer_to_our_bye_after_timer_f_is_nobodys_rfc4320_4_2(new_edge: NewEdge, leg: str) -> None:
    async with a_race(new_edge) as edge:
        call = await established_call(edge, leg)
        with Losing(edge, ADDRESS[leg], "SIP/2.0 200", to_edge=True):
            our_leg(edge, leg).end(EndReason.COMPLETED)
            await edge.passes(40)
        call.responds(heard(call, "BYE")[0], 200)
        call.responds(heard(call, "BYE")[0], 408)
        await edge.passes(10)
        assert len(heard(call, "BYE")) == len(BYES)
        await settled(edge)


async def test_a_408_to_our_bye_ends_it_as_any_answer_does(new_edge: NewEdge, leg: str, seed: int) -> None:
    async with a_race(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.discard("BYE")
        rough_network(edge, seed)
        our_leg(edge, leg).end(EndReason.COMPLETED)
        call.responds(await hears(call, "BYE"), 408)
        call.finish()
        call.peer.auto.add("BYE")
        await settled(edge)


@pytest.mark.parametrize("method", ["OPTIONS", "UPDATE", "INFO", "NOTIFY"])
async def test_no_request_of_theirs_gets_408_or_a_provisional_rfc4320_4_1(
    new_edge: NewEdge, leg: str, seed: int, method: str
) -> None:
    async with a_race(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        await call.requests(method)
        await edge.passes(5)
        answers = [each.message for each in call.trace if each.direction == "<"]
        statuses = {each.status for each in answers if each.cseq.method == method and hasattr(each, "status")}
        assert len(statuses) == 1
        assert statuses <= {200, 405, 481}
        await settled(edge)


async def test_a_refer_that_is_never_served_is_never_answered_after_timer_f_rfc4320_4_2(
    new_edge: NewEdge,
) -> None:
    """The caller never sends its ACK, so the call never gets to handle the REFER."""
    async with a_race(new_edge) as edge:
        caller = await edge.carrier.invites()
        withhold_acks(caller)
        await edge.agent.answers()
        await hears(caller, 200)
        agent = edge.agent.current
        asked = await agent.sends("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])
        began = edge.now
        await hears(caller, "BYE")
        await edge.passes(20)
        answers = [each for each in agent.trace if each.message.cseq == asked.cseq and each.direction == "<"]
        assert {each.message.status for each in answers} <= {100, 481}
        assert all(each.at - began <= 32.1 for each in answers)
        assert edge.phone.trace == []
        await edge.assert_clean(faults=False)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_a_notify_or_bye_lost_and_found_changes_nothing(new_edge: NewEdge, leg: str, seed: int) -> None:
    async with a_race(new_edge, seed) as edge:
        await edge.connects()
        with Losing(edge, ADDRESS[leg], "NOTIFY", "ACK"):
            await edge.agent.refers(f"tel:{PHONE_NUMBER}")
            await edge.phone.answers()
            await edge.passes(1)
        rough_network(edge, seed)
        await hears(peer(edge, "agent").current, "BYE")
        await hears(edge.agent.current, "NOTIFY", sipfrag=200)
        await edge.passes(10)
        await settled(edge)
        assert story(edge.records[0])[0] is Result.BRIDGED
