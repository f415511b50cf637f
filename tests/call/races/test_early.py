"""Requests in early dialogs (RFC 5407 §3.1.3, Appendix A; RFC 3311 §5.2)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import Result
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, summary
from tests.kit.races import (
    SDP,
    DroppedMessages,
    end_and_assert_clean,
    messages_received,
    peer,
    phone_rings,
    race_edge,
    rough_network,
    wait_to_receive,
)

CALLED = pytest.mark.parametrize("leg", ["agent", "phone"])


async def rings(edge: Edge, leg: str):
    """Bring this leg's peer to ringing, in an early dialog."""
    if leg == "phone":
        return await phone_rings(edge)
    await edge.carrier.invites()
    call = await edge.agent.invited()
    call.responds(call.invite, 180)
    await edge.time_passes(0.1)
    return call


async def test_a_callers_bye_before_our_answer_gets_200_and_its_invite_487_rfc3261_15_1_2(
    new_edge: NewEdge, seed: int
) -> None:
    """The BYE gets 200 and the INVITE 487; the agent's leg is cancelled."""
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await wait_to_receive(caller, 180)
        agent = await edge.agent.invited()
        rough_network(edge, seed)
        assert (await caller.hangs_up()).status == 200
        await wait_to_receive(caller, 487)
        await wait_to_receive(agent, "CANCEL")
        await end_and_assert_clean(edge)
        assert summary(edge.records[0])[0] is Result.CALLER_LEFT


async def test_a_callers_early_bye_that_crosses_our_200_gets_200_and_ends_the_call_rfc5407_3_1_3(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await wait_to_receive(caller, 180)
        agent = await edge.agent.invited()
        rough_network(edge, seed)
        await edge.agent.answers()
        await edge.time_passes(1.5 * edge.wire.delay_s)
        assert (await caller.hangs_up()).status == 200
        await edge.time_passes(1)
        assert messages_received(caller, 200, method="INVITE") or seed
        await wait_to_receive(agent, "BYE")
        await end_and_assert_clean(edge)
        assert not messages_received(caller, "BYE")
        assert summary(edge.records[0])[0] is Result.CALLER_LEFT


@CALLED
async def test_a_bye_of_a_called_peer_before_its_answer_counts_as_a_refusal_rfc5407_appendix_a(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    """A callee must not; one that does has declined: it is sent no more, and the call falls back."""
    async with race_edge(new_edge, seed) as edge:
        call = await rings(edge, leg)
        rough_network(edge, seed)
        assert (await call.hangs_up()).status == 200
        await wait_to_receive(call, "CANCEL")
        if leg == "agent":
            await edge.phone.answers()
            await wait_to_receive(edge.carrier.current, 200)
        await edge.time_passes(5)
        await end_and_assert_clean(edge)
        if leg == "agent":
            assert summary(edge.records[0])[0] is Result.BRIDGED
        else:
            assert 487 in edge.notify_statuses()


@CALLED
async def test_a_200_after_a_called_peers_early_bye_is_acknowledged_rfc5407_3_1_3(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await rings(edge, leg)
        rough_network(edge, seed)
        assert (await call.hangs_up()).status == 200
        if not call.answered:
            await answered_late(edge, leg, call)
        await wait_to_receive(call, "ACK")
        if leg == "agent":
            await edge.phone.answers()
            await wait_to_receive(edge.carrier.current, 200)
        await edge.time_passes(5)
        await end_and_assert_clean(edge)


async def answered_late(edge: Edge, leg: str, call) -> None:
    if leg == "agent":
        edge.agent.answer(call)
    else:
        edge.phone._says(call, 200, SDP)


@CALLED
@pytest.mark.parametrize(
    ("method", "body", "status"),
    [("UPDATE", b"", 200), ("UPDATE", SDP, 491), ("INVITE", SDP, 491), ("OPTIONS", b"", 200)],
)
async def test_requests_of_a_called_peer_before_its_answer_get_200_or_491_rfc3311_5_2(
    new_edge: NewEdge, leg: str, seed: int, method: str, body: bytes, status: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await rings(edge, leg)
        invite = call.invite
        rough_network(edge, seed)
        assert (await call.requests(method, body=body)).status == status
        call.invite = invite
        await (edge.agent.answers() if leg == "agent" else edge.phone.answers())
        await wait_to_receive(call, "ACK")
        await edge.time_passes(5)
        await end_and_assert_clean(edge)


async def test_a_callers_update_before_our_answer_gets_200_or_with_an_offer_500_rfc3311_5_2(
    new_edge: NewEdge, seed: int
) -> None:
    """Without an offer it gets 200; with one, while the first offer is open, 500 and Retry-After."""
    async with race_edge(new_edge, seed) as edge:
        caller = await edge.carrier.invites()
        await wait_to_receive(caller, 180)
        await edge.agent.invited()
        rough_network(edge, seed)
        assert (await caller.requests("UPDATE")).status == 200
        refused = await caller.requests("UPDATE", body=SDP)
        assert refused.status == 500
        assert int(refused.headers.get("Retry-After") or "99") <= 10
        await edge.agent.answers()
        await wait_to_receive(caller, 200, method="INVITE")
        await end_and_assert_clean(edge)


async def test_an_agents_refer_that_arrives_before_its_200_gets_202_after_the_200(
    new_edge: NewEdge, seed: int
) -> None:
    """The REFER waits for the 200, then connects the caller."""
    async with race_edge(new_edge, seed) as edge:
        agent = await rings(edge, "agent")
        rough_network(edge, seed)
        await agent.sends("REFER", headers=[("Refer-To", f"<tel:{PHONE_NUMBER}>")])
        await edge.time_passes(2)
        assert not messages_received(agent, 202)
        await edge.agent.answers()
        await edge.phone.answers()
        await wait_to_receive(agent, 202)
        await wait_to_receive(agent, "NOTIFY", sipfrag=200)
        await end_and_assert_clean(edge)
        assert summary(edge.records[0]) == (Result.BRIDGED, "ALLOW", "refer", "caller")


async def test_a_phones_refer_before_its_answer_gets_603(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        phone = await phone_rings(edge)
        rough_network(edge, seed)
        answer = await phone.requests("REFER", headers=[("Refer-To", "<tel:+19005550100>")])
        assert answer.status == 603
        await edge.phone.answers()
        await wait_to_receive(phone, "ACK")
        await edge.time_passes(3)
        await end_and_assert_clean(edge)


@CALLED
async def test_a_retransmitted_200_that_arrives_after_the_bye_is_acknowledged(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    """The peer answers and hangs up at once; the 200 is lost, and a retransmission comes after the BYE."""
    async with race_edge(new_edge, seed) as edge:
        call = await rings(edge, leg)
        rough_network(edge, seed)
        address = edge.agent.address[0] if leg == "agent" else edge.phone.address[0]
        with DroppedMessages(edge, address, "SIP/2.0 200", to_edge=True):
            await (edge.agent.answers() if leg == "agent" else edge.phone.answers())
            await call.sends("BYE")
            call.finish()
            await edge.time_passes(0.3)
        await wait_to_receive(call, "ACK")
        assert not peer(edge, leg).call.resending or seed
        if leg == "agent":
            await edge.phone.answers()
            await wait_to_receive(edge.carrier.current, 200)
        await edge.time_passes(5)
        await end_and_assert_clean(edge)
