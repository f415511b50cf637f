"""CANCEL crosses the response that it would prevent (RFC 3261 §9, RFC 5407 §3.1.2, Appendix C)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from proxy.ua.reason import EndReason
from tests.kit.edge import OPENAI, PHONE_NUMBER, Edge, NewEdge, summary
from tests.kit.races import (
    DroppedMessages,
    end_and_assert_clean,
    messages_received,
    methods_received,
    our_leg,
    peer,
    phone_rings,
    race_edge,
    resend,
    rough_network,
    wait_to_receive,
)

CALLED = pytest.mark.parametrize("leg", ["agent", "phone"])


async def rings_at(edge: Edge, leg: str) -> None:
    """Bring the INVITE of this leg to its peer, which has sent only its automatic responses."""
    if leg == "agent":
        await edge.carrier.invites()
        await edge.agent.invited()
    else:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.invited()


async def hangs_up(edge: Edge, leg: str) -> None:
    """The caller leaves, so our INVITE on this leg has to be cancelled."""
    caller = edge.carrier.current
    if leg == "agent":
        await caller.cancels()
    else:
        await caller.sends("BYE")
        caller.finish()


async def test_the_callers_cancel_crosses_our_200_rfc5407_3_1_2(new_edge: NewEdge, seed: int) -> None:
    """The CANCEL gets 200 and has no effect; the caller sends its ACK, then hangs up."""
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await wait_to_receive(caller, 180)
        await edge.agent.invited()
        rough_network(edge, seed)
        await edge.agent.answers()
        await edge.time_passes(1.5 * edge.wire.delay_s)
        answer = await caller.cancels()
        assert answer.status in (200, 481)
        if not seed:
            assert answer.to_tag == (await wait_to_receive(caller, 200, method="INVITE")).to_tag
            assert not messages_received(caller, 487)
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("after_s", [0.0, 10.0])
async def test_a_cancel_after_our_200_changes_nothing_rfc3261_9_2(
    new_edge: NewEdge, seed: int, after_s: float
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        rough_network(edge, seed)
        await edge.time_passes(after_s)
        assert (await edge.carrier.cancels()).status == 200
        await edge.time_passes(5)
        assert not messages_received(edge.carrier.current, "BYE")
        assert not messages_received(edge.agent.current, "BYE")
        await end_and_assert_clean(edge)


async def test_a_cancel_after_the_transaction_has_ended_is_481_rfc3261_9_2(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        rough_network(edge, seed)
        await edge.time_passes(33)  # Timer L has fired
        assert (await edge.carrier.cancels()).status == 481
        await end_and_assert_clean(edge)


async def test_retransmitted_cancels_each_get_200_and_the_invite_one_487(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await edge.agent.invited()
        rough_network(edge, seed)
        await caller.cancels()
        said = next(each.message for each in caller.trace if each.message.cseq.method == "CANCEL")
        resend(caller, said)
        resend(caller, said)
        await wait_to_receive(caller, 487)
        await edge.time_passes(3)
        await end_and_assert_clean(edge)
        if not seed:
            assert len(messages_received(caller, 200, method="CANCEL")) == 3
            assert len(messages_received(caller, 487)) == 1


@CALLED
async def test_our_cancel_waits_for_the_first_provisional_rfc3261_9_1(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        with DroppedMessages(edge, OPENAI, "SIP/2.0 100", to_edge=True):
            await rings_at(edge, leg)
            call = peer(edge, leg).current
            rough_network(edge, seed)
            await hangs_up(edge, leg)
            await edge.time_passes(5)
            assert not messages_received(call, "CANCEL")
        assert call.invite is not None
        if leg == "phone":  # the agent answers a retransmitted INVITE with 100 again
            call.responds(call.invite, 180)
        cancel = await wait_to_receive(call, "CANCEL")
        assert cancel.via.branch == call.invite.via.branch
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[0] is Result.CALLER_LEFT


@CALLED
async def test_our_cancel_crosses_their_200_rfc5407_3_1_2(new_edge: NewEdge, leg: str, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        await rings_at(edge, leg)
        call = peer(edge, leg).current
        assert call.invite is not None
        call.responds(call.invite, 180)
        await edge.time_passes(0.1)
        rough_network(edge, seed)
        leaving = asyncio.ensure_future(hangs_up(edge, leg))
        await edge.time_passes(1.5 * edge.wire.delay_s)  # our CANCEL is on its way
        if not call.answered:
            await (edge.agent.answers() if leg == "agent" else edge.phone.answers())
        await leaving
        if not seed:
            await wait_to_receive(call, "CANCEL")
            await wait_to_receive(call, "ACK")
            await wait_to_receive(call, "BYE")
            assert methods_received(call) == ["INVITE", "CANCEL", "ACK", "BYE"]
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[0] is Result.CALLER_LEFT


@CALLED
async def test_our_cancel_crosses_their_refusal_rfc5407_appendix_c(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await rings_at(edge, leg)
        call = peer(edge, leg).current
        assert call.invite is not None
        call.responds(call.invite, 180)
        await edge.time_passes(0.1)
        rough_network(edge, seed)
        leaving = asyncio.ensure_future(hangs_up(edge, leg))
        await edge.time_passes(1.5 * edge.wire.delay_s)
        if not call.answered:
            call.responds(call.invite, 486)
        await leaving
        await wait_to_receive(call, "ACK")
        await end_and_assert_clean(edge)
        assert len(messages_received(call, "BYE")) == 0


@CALLED
async def test_a_cancelled_invite_without_a_final_response_ends_after_64_t1_rfc3261_9_1(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await rings_at(edge, leg)
        call = peer(edge, leg).current
        call.peer.auto.discard("CANCEL")
        assert call.invite is not None
        call.responds(call.invite, 180)
        await edge.time_passes(0.1)
        rough_network(edge, seed)
        await hangs_up(edge, leg)
        cancel = await wait_to_receive(call, "CANCEL")
        call.responds(cancel, 200)
        await end_and_assert_clean(edge)


@CALLED
async def test_a_200_later_than_64_t1_after_our_cancel_is_ignored_rfc3261_9_1(
    new_edge: NewEdge, leg: str
) -> None:
    """More than 64*T1 after our CANCEL there is no transaction left for it to match."""
    async with race_edge(new_edge) as edge:
        await rings_at(edge, leg)
        call = peer(edge, leg).current
        call.peer.auto.discard("CANCEL")
        assert call.invite is not None
        call.responds(call.invite, 180)
        await edge.time_passes(0.1)
        await hangs_up(edge, leg)
        call.responds(await wait_to_receive(call, "CANCEL"), 200)
        await edge.time_passes(40)
        call.responds(call.invite, 200, sdp=call.sdp)
        await edge.time_passes(40)
        assert not messages_received(call, "BYE")
        await edge.assert_clean(faults=False)


async def test_the_phones_200_crosses_the_callers_hang_up(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        await edge.phone.answers()
        await hangs_up(edge, "phone")
        await wait_to_receive(phone, "BYE")
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[1:] == ("ALLOW", "refer", "caller")


async def test_the_phones_200_crosses_a_cancel_of_an_unanswered_caller(new_edge: NewEdge, seed: int) -> None:
    """The agent did not answer, so the caller rings straight through, and cancels as the phone answers."""
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await edge.agent.rejects(486)
        phone = await edge.phone.rings()
        rough_network(edge, seed)
        await edge.phone.answers()
        await edge.time_passes(0.5 * edge.wire.delay_s)
        await caller.cancels()
        await end_and_assert_clean(edge)
        assert phone.over
        assert messages_received(phone, "BYE") or messages_received(phone, "CANCEL")


async def test_the_ring_limit_crosses_the_phones_200(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        await edge.time_passes(25 - 1.5 * edge.wire.delay_s)
        await edge.phone.answers()
        await edge.time_passes(10)
        await end_and_assert_clean(edge)
        assert phone.over


@pytest.mark.relay_only("peers answer re-INVITEs by themselves")
async def test_our_open_reinvite_is_cancelled_when_the_leg_ends_rfc3261_9_1(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        await (edge.connects() if leg == "agent" else edge.bridges())
        call = peer(edge, leg).current
        rough_network(edge, seed)
        side = our_leg(edge, leg)
        offering = asyncio.ensure_future(side.offer())
        while not (found := [each for each in messages_received(call, "INVITE") if each.to_tag]):
            await edge.time_passes(0.05)
        call.responds(found[0], 100)
        await edge.time_passes(0.5)
        side.end(EndReason.COMPLETED)
        await asyncio.gather(offering, return_exceptions=True)
        await wait_to_receive(call, "CANCEL")
        call.responds(found[0], 487)
        await wait_to_receive(call, "BYE")
        await end_and_assert_clean(edge)
