"""Something else arrives instead of the ACK for a 2xx (RFC 5407 §3.1.4 to §3.1.6, §3.2.4)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.lab.retransmission import T1_S
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit.edge import CARRIER, PHONE_NUMBER, TRUNK, Edge, NewEdge
from tests.kit.races import (
    SDP,
    DroppedMessages,
    arrival_times,
    end_and_assert_clean,
    established_call,
    messages_received,
    our_leg,
    race_edge,
    rough_network,
    wait_to_receive,
    withhold_acks,
)

OUR_200 = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
"""When a 2xx without ACK is retransmitted: T1, doubled up to T2, until 64*T1 (§13.3.1.4)."""


@pytest.mark.parametrize("transport", ["udp", "tls"])
async def test_a_200_without_ack_is_retransmitted_for_64_t1_and_followed_by_bye_rfc3261_13_3_1_4(
    new_edge: NewEdge, seed: int, transport: str
) -> None:
    """Over TCP and TLS too: only the first hop is known to be reliable."""
    async with race_edge(new_edge, seed, transport=transport) as edge:
        edge.carrier.auto.discard("ACK")
        await edge.carrier.invites()
        await wait_to_receive(edge.carrier.current, 180)
        rough_network(edge, seed)
        await edge.agent.answers()
        await wait_to_receive(edge.carrier.current, "BYE")
        sent = arrival_times(edge.carrier.current, 200, method="INVITE")
        bye = arrival_times(edge.carrier.current, "BYE")[0]
        if not seed:
            assert [round(at - sent[0], 3) for at in sent] == OUR_200
            assert bye - sent[0] == pytest.approx(64 * T1_S)
        await edge.assert_clean(faults=False)
        assert edge.records[0].outcome is not None
        assert edge.records[0].outcome.reason == "the peer never acknowledged the answer"


async def test_a_reinvite_whose_200_is_never_acknowledged_ends_the_leg_rfc3261_14_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        withhold_acks(call)
        rough_network(edge, seed)
        before = edge.now
        assert (await call.reinvites(call.sdp)).status == 200
        bye = await wait_to_receive(call, "BYE")
        assert bye.headers.get("Reason")
        if not seed:
            assert arrival_times(call, "BYE")[0] - before == pytest.approx(64 * T1_S + 0.2, abs=0.1)
        await edge.assert_clean(faults=False)


async def test_a_200_is_retransmitted_until_an_ack_arrives_after_two_were_lost_rfc3261_13_3_1_4(
    new_edge: NewEdge,
) -> None:
    async with race_edge(new_edge) as edge:
        with DroppedMessages(edge, CARRIER, "ACK", to_edge=True) as losing:
            await edge.carrier.invites()
            await edge.agent.answers()
            await edge.carrier.receives(200)
            await edge.time_passes(1)
        assert len(losing.lost) == 2
        await edge.time_passes(40)
        assert len(messages_received(edge.carrier.current, 200)) == 3
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_our_ack_is_sent_again_for_each_retransmitted_200_rfc3261_13_2_2_4(
    new_edge: NewEdge, leg: str
) -> None:
    address = {"agent": "192.0.2.112", "phone": TRUNK}[leg]
    async with race_edge(new_edge) as edge:
        with DroppedMessages(edge, address, "ACK") as losing:
            call = await established_call(edge, leg)
            await edge.time_passes(2)
        lost = [data for data in losing.lost if b" INVITE" not in data]
        assert len(lost) >= 2
        await wait_to_receive(call, "ACK", cseq=call.invite.headers.get("CSeq").replace("INVITE", "ACK"))
        await edge.time_passes(20)
        assert call.resending == 0
        await end_and_assert_clean(edge)


async def test_a_reinvite_before_the_ack_of_the_first_invite_is_accepted_rfc5407_3_1_4(
    new_edge: NewEdge, seed: int
) -> None:
    """Offer and answer are complete, so the re-INVITE is accepted although the first ACK never came."""
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites()
        withhold_acks(call)
        rough_network(edge, seed)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        call.peer.auto.add("ACK")
        assert (await call.reinvites(call.sdp)).status == 200
        await edge.time_passes(10)
        await end_and_assert_clean(edge)
        if not seed:
            assert len(messages_received(call, 200, cseq=f"{call.cseq - 1} INVITE")) == 1
            assert len(messages_received(call, 200, cseq=f"{call.cseq - 2} INVITE")) == 5


async def test_a_late_first_ack_after_a_reinvite_is_accepted_rfc5407_3_1_4(new_edge: NewEdge) -> None:
    """Its CSeq number is lower than the last one's, which is not an error."""
    async with race_edge(new_edge) as edge:
        call = await edge.carrier.invites()
        withhold_acks(call)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        first = call._asked[next(iter(call._asked))]
        call.peer.auto.add("ACK")
        assert (await call.reinvites(call.sdp)).status == 200
        before = len(messages_received(call, 200))
        first.ack = call._build("ACK", first.request.cseq.number, call.peer.vias(call.peer.ids.branch()))
        call._put(call.flow, first.ack)
        await edge.time_passes(40)
        assert len(messages_received(call, 200)) == before
        await end_and_assert_clean(edge)


async def test_a_reinvite_or_update_before_the_ack_that_answers_our_offer_gets_491_rfc5407_3_1_5(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites(body=b"")
        withhold_acks(call)
        rough_network(edge, seed)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        assert (await call.requests("INVITE", body=SDP)).status == 491
        assert (await call.requests("UPDATE", body=SDP)).status == 491
        await call.sends("BYE")
        call.finish()
        await end_and_assert_clean(edge, faults=False)


async def test_a_bye_before_the_ack_stops_the_retransmission_of_our_200_rfc5407_3_1_6(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites()
        withhold_acks(call)
        rough_network(edge, seed)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        await call.hangs_up()
        said = len(messages_received(call, 200, method="INVITE"))
        call.acks()
        await edge.time_passes(40)
        if not seed:
            assert len(messages_received(call, 200, method="INVITE")) == said
        await end_and_assert_clean(edge)
        assert not messages_received(call, "BYE")


async def test_our_bye_is_sent_only_after_the_callers_ack_arrives_rfc5407_3_2_4(
    new_edge: NewEdge, seed: int
) -> None:
    """§15: the callee sends no BYE before it has received the ACK."""
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites()
        withhold_acks(call)
        rough_network(edge, seed)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        await edge.agent.current.sends("BYE")
        edge.agent.current.finish()
        our_leg(edge, "caller").end(EndReason.COMPLETED)
        await edge.time_passes(3)
        assert not messages_received(call, "BYE")
        call.acks()
        for _ in range(10):  # nobody retransmits an ACK unprompted
            await edge.time_passes(1)
            if not ours_waits(edge):
                break
            call.acks()
        await wait_to_receive(call, "BYE")
        await edge.assert_clean()


def ours_waits(edge: Edge) -> bool:
    return any(isinstance(leg, Leg) and leg.unacknowledged for leg in edge.core._dialogs.values())


async def test_a_refer_before_the_callers_ack_gets_100_after_3_5_s_and_202_after_the_ack_rfc4320_4_1(
    new_edge: NewEdge,
) -> None:
    """The call waits for the ACK; the REFER is kept, and its sender gets 100."""
    async with race_edge(new_edge) as edge:
        call = await edge.carrier.invites()
        withhold_acks(call)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        agent = edge.agent.current
        asked = asyncio.ensure_future(edge.agent.refers(f"tel:{PHONE_NUMBER}"))
        await edge.time_passes(3.4)
        assert not messages_received(agent, 100)
        began = edge.now - 3.4
        await edge.time_passes(5)
        assert arrival_times(agent, 100)[0] - began == pytest.approx(3.5, abs=0.01)
        call.acks()
        assert (await asked).status == 202
        await edge.phone.answers()
        await wait_to_receive(agent, "BYE")
        await end_and_assert_clean(edge)
