"""The initial INVITE arrives twice, by two paths, or late (RFC 5407 §3.1.1, RFC 6026, RFC 3261 §8.2.2.2)."""

from __future__ import annotations

import pytest

from proxy.lab.peer_call import PeerCall
from proxy.sip.message import Request
from tests.kit.edge import CARRIER, NewEdge
from tests.kit.races import (
    DroppedMessages,
    end_and_assert_clean,
    established_call,
    messages_received,
    peer,
    phone_rings,
    race_edge,
    resend,
    resend_on_new_branch,
    rough_network,
    wait_to_receive,
)


async def test_a_retransmitted_invite_gets_the_last_provisional_again_rfc3261_17_2_1(
    new_edge: NewEdge,
) -> None:
    async with race_edge(new_edge) as edge:
        call = await edge.carrier.invites()
        await wait_to_receive(call, 180)
        for _ in range(3):
            resend(call, call.invite)
        await edge.time_passes(0.1)
        assert len(messages_received(call, 180)) == 4
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        assert len(edge.agent.calls) == 1
        await end_and_assert_clean(edge)


async def test_an_invite_retransmitted_after_our_200_is_absorbed_rfc5407_3_1_1_rfc6026_7_1(
    new_edge: NewEdge,
) -> None:
    """It causes neither a second call nor a second 200, for 64*T1."""
    async with race_edge(new_edge) as edge:
        await edge.connects()
        call = edge.carrier.current
        said = len(call.trace)
        for _ in range(6):
            resend(call, call.invite)
            await edge.time_passes(5)
        assert len([each for each in call.trace[said:] if each.direction == "<"]) == 0
        assert len(edge.agent.calls) == 1
        await end_and_assert_clean(edge)


async def test_retransmitted_invites_on_a_lossy_network_are_one_call_rfc5407_3_1_1(
    new_edge: NewEdge, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        rough_network(edge, seed)
        call = await edge.carrier.invites()
        for _ in range(10):
            resend(call, call.invite)
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        await edge.time_passes(5)
        assert len(edge.agent.calls) == 1
        await end_and_assert_clean(edge)


async def test_an_invite_retransmitted_before_the_ack_gets_its_rejection_again_rfc3261_17_2_1(
    new_edge: NewEdge,
) -> None:
    async with race_edge(new_edge) as edge:
        with DroppedMessages(edge, CARRIER, "ACK", to_edge=True):
            call = await edge.carrier.invites(dialed="+14155559999")
            assert (await wait_to_receive(call, 404)).cseq.method == "INVITE"
            resend(call, call.invite)
            await edge.time_passes(0.1)
            assert len(messages_received(call, 404)) == 2
            await edge.time_passes(3)
        assert len(messages_received(call, 404)) > 3
        await edge.time_passes(3)  # acknowledged by now: Timer I runs
        said = len(messages_received(call, 404))
        resend(call, call.invite)
        await edge.time_passes(30)
        assert len(messages_received(call, 404)) == said
        assert not any(edge.core.left_over().values())


@pytest.mark.parametrize("when", ["ringing", "talking"])
async def test_a_merged_invite_is_482_rfc3261_8_2_2_2(new_edge: NewEdge, when: str, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites()
        await wait_to_receive(call, 180)
        if when == "talking":
            await edge.agent.answers()
            await wait_to_receive(call, 200)
        rough_network(edge, seed)
        copy = resend_on_new_branch(call, call.invite)
        for _ in range(10):
            if messages_received(call, 482):
                break
            await edge.time_passes(0.5)
            resend(call, copy)
        refusal = await wait_to_receive(call, 482)
        for _ in range(1 if not seed else 5):
            acknowledges(call, copy, refusal.to_tag)
            await edge.time_passes(1)
        edge.carrier.faults.clear()  # a response that matches nothing the carrier sent
        if when == "ringing":
            await edge.agent.answers()
            await wait_to_receive(call, 200)
        assert len(edge.agent.calls) == 1
        await end_and_assert_clean(edge, faults=False)


def acknowledges(call: PeerCall, invite: Request, tag: str | None) -> None:
    """Send the ACK for a non-2xx response, in the transaction of the INVITE (§17.1.1.3)."""
    vias = invite.headers.split("Via")[:1]
    ack = call._build("ACK", invite.cseq.number, vias, to=f"{invite.headers.get('To')};tag={tag}")
    ack.uri = invite.uri
    call._put(call.flow, ack)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_repeated_and_late_provisional_responses_change_nothing_rfc3261_17_1_1_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        if leg == "agent":
            await edge.carrier.invites()
            await edge.agent.invited()
        else:
            await phone_rings(edge)
        rough_network(edge, seed)
        call = peer(edge, leg).current
        assert call.invite is not None
        ringing = call.responds(call.invite, 180)
        for _ in range(3):
            resend(call, ringing)
            call.responds(call.invite, 183)
        await (edge.agent.answers() if leg == "agent" else edge.phone.answers())
        await wait_to_receive(call, "ACK")
        acks = len(messages_received(call, "ACK"))
        resend(call, ringing)
        await edge.time_passes(2)
        assert len(messages_received(call, "ACK")) == acks or seed
        assert not call.over
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_a_provisional_after_a_rejection_changes_nothing_rfc3261_17_1_1_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        if leg == "agent":
            await edge.carrier.invites()
            call = await edge.agent.invited()
        else:
            call = await phone_rings(edge)
        rough_network(edge, seed)
        assert call.invite is not None
        response = call.invite.reply(180, to_tag=call.local_tag)
        response.headers.add("Contact", call.contact)
        call.responds(call.invite, 486)
        for _ in range(3):
            resend(call, response)
            await edge.time_passes(0.3)
        await wait_to_receive(call, "ACK")
        assert edge.core.left_over()["dialogs"] <= 3
        if leg == "agent":
            await edge.phone.answers()
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_a_response_without_a_transaction_is_not_forwarded_rfc6026_8_8(
    new_edge: NewEdge, leg: str
) -> None:
    """A response that matches no transaction is neither passed to another leg nor answered."""
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        assert call.invite is not None
        await edge.time_passes(40)  # Timer M has fired
        before = {each.name: len(each.trace) for each in edge.peers}
        for status in (180, 200, 486):
            stray = call.invite.reply(status, to_tag="nobody")
            stray.headers.add("Contact", call.contact)
            call._put(call.flow, stray)
        await edge.time_passes(5)
        ends = dict(before)
        ends[call.peer.name] += 3  # the responses that this peer sent itself
        assert {each.name: len(each.trace) for each in edge.peers} == ends
        await end_and_assert_clean(edge)


async def test_a_second_invite_while_the_first_is_open_is_500_rfc3261_14_2(
    new_edge: NewEdge, seed: int
) -> None:
    """A caller must not send one: it gets 500 with Retry-After, and the first is answered as usual."""
    async with race_edge(new_edge, seed) as edge:
        call = await edge.carrier.invites()
        await wait_to_receive(call, 180)
        first = call.invite
        rough_network(edge, seed)
        refused = await call.requests("INVITE", body=call.sdp)
        assert refused.status == 500
        assert 0 <= int(refused.headers.get("Retry-After") or "-1") <= 10
        call.invite = first
        await edge.agent.answers()
        await wait_to_receive(call, 200)
        await edge.time_passes(5)
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("leg", ["agent", "phone"])
async def test_a_rejection_after_a_200_changes_nothing_rfc6026_7_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    """Another fork's refusal arrives late, which a proxy should never forward."""
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        assert call.invite is not None
        acks = len(messages_received(call, "ACK"))
        for status in (486, 302, 603, 407):
            call._put(call.flow, call.invite.reply(status, to_tag="another"))
        await edge.time_passes(5)
        assert len(messages_received(call, "ACK")) == acks
        assert not messages_received(call, "BYE") or leg == "agent"
        await end_and_assert_clean(edge)
