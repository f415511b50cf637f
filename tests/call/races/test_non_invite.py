"""Non-INVITE requests that are answered late or never (RFC 4320)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from proxy.ua.reason import EndReason
from tests.kit.edge import CARRIER, OPENAI, PHONE_NUMBER, TRUNK, NewEdge, summary
from tests.kit.races import (
    DroppedMessages,
    arrival_times,
    end_and_assert_clean,
    established_call,
    messages_received,
    our_leg,
    peer,
    race_edge,
    rough_network,
    wait_to_receive,
    withhold_acks,
)

ADDRESS = {"caller": CARRIER, "agent": OPENAI, "phone": TRUNK}
BYES = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
"""When a BYE is retransmitted (Timer E): T1 doubled up to T2, until Timer F."""


async def test_an_unanswered_bye_of_ours_is_retransmitted_until_timer_f_rfc3261_17_1_2_2(
    new_edge: NewEdge, leg: str
) -> None:
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        with DroppedMessages(edge, ADDRESS[leg], "SIP/2.0 200", to_edge=True):
            our_leg(edge, leg).end(EndReason.COMPLETED)
            await edge.time_passes(50)
        sent = arrival_times(call, "BYE")
        assert [round(at - sent[0], 3) for at in sent] == BYES
        await end_and_assert_clean(edge)


async def test_a_response_to_our_bye_after_timer_f_is_ignored_rfc4320_4_2(
    new_edge: NewEdge, leg: str
) -> None:
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        with DroppedMessages(edge, ADDRESS[leg], "SIP/2.0 200", to_edge=True):
            our_leg(edge, leg).end(EndReason.COMPLETED)
            await edge.time_passes(40)
        call.responds(messages_received(call, "BYE")[0], 200)
        call.responds(messages_received(call, "BYE")[0], 408)
        await edge.time_passes(10)
        assert len(messages_received(call, "BYE")) == len(BYES)
        await end_and_assert_clean(edge)


async def test_a_408_to_our_bye_ends_the_leg_like_any_final_response(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.discard("BYE")
        rough_network(edge, seed)
        our_leg(edge, leg).end(EndReason.COMPLETED)
        call.responds(await wait_to_receive(call, "BYE"), 408)
        call.finish()
        call.peer.auto.add("BYE")
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("method", ["OPTIONS", "UPDATE", "INFO", "NOTIFY"])
async def test_in_dialog_requests_get_no_408_and_no_provisional_response_rfc4320_4_1(
    new_edge: NewEdge, leg: str, seed: int, method: str
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        await call.requests(method)
        await edge.time_passes(5)
        answers = [each.message for each in call.trace if each.direction == "<"]
        statuses = {each.status for each in answers if each.cseq.method == method and hasattr(each, "status")}
        assert len(statuses) == 1
        assert statuses <= {200, 405, 481}
        await end_and_assert_clean(edge)


async def test_a_refer_that_is_never_handled_gets_no_response_after_timer_f_rfc4320_4_2(
    new_edge: NewEdge,
) -> None:
    """The caller never sends its ACK, so the call never gets to handle the REFER."""
    async with race_edge(new_edge) as edge:
        caller = await edge.carrier.invites()
        withhold_acks(caller)
        await edge.agent.answers()
        await wait_to_receive(caller, 200)
        agent = edge.agent.current
        asked = await agent.sends("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])
        began = edge.now
        await wait_to_receive(caller, "BYE")
        await edge.time_passes(20)
        answers = [each for each in agent.trace if each.message.cseq == asked.cseq and each.direction == "<"]
        assert {each.message.status for each in answers} <= {100, 481}
        assert all(each.at - began <= 32.1 for each in answers)
        assert edge.phone.trace == []
        await edge.assert_clean(faults=False)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_the_call_is_bridged_although_notify_and_ack_are_lost_at_first(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        with DroppedMessages(edge, ADDRESS[leg], "NOTIFY", "ACK"):
            await edge.agent.refers(f"tel:{PHONE_NUMBER}")
            await edge.phone.answers()
            await edge.time_passes(1)
        rough_network(edge, seed)
        await wait_to_receive(peer(edge, "agent").current, "BYE")
        await wait_to_receive(edge.agent.current, "NOTIFY", sipfrag=200)
        await edge.time_passes(10)
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[0] is Result.BRIDGED
