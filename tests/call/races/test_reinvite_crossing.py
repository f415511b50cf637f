"""Glare between re-INVITEs and UPDATEs (RFC 5407 §3.3.1, §3.3.2; RFC 3261 §14; RFC 3311 §5.2)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from proxy.lab.peer_call import PeerCall
from proxy.ua.errors import SipError
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge
from tests.kit.races import (
    LEGS,
    SDP,
    arrival_times,
    end_and_assert_clean,
    established_call,
    messages_received,
    our_leg,
    peer,
    race_edge,
    resend,
    rough_network,
    wait_to_receive,
)

BACK_OFF_S = {"caller": (0.0, 2.0), "agent": (2.1, 4.0), "phone": (2.1, 4.0)}
"""How long we wait after a 491: longer where we own the Call-ID (§14.1)."""


async def until_answered(call: PeerCall, method: str = "INVITE") -> None:
    """The peer repeats its offer until it is no longer refused for glare, as §14.1 requires."""
    for _ in range(8):
        answer = await call.requests(method, body=call.sdp)
        if answer.status not in (491, 500):
            assert answer.status == 200
            return
        await asyncio.sleep(1.3)
    raise AssertionError(f"never answered\n{call}")


@pytest.mark.parametrize("chance", [0.0, 1.0])
async def test_crossing_reinvites_both_get_491_and_are_retried_rfc5407_3_3_1(
    new_edge: NewEdge, leg: str, chance: float
) -> None:
    """Each gets 491; ours is retried after the delay due to whoever owns the Call-ID."""
    async with race_edge(new_edge) as edge:
        edge.ids.uniform = lambda low, high: low + chance * (high - low)  # type: ignore[method-assign]
        call = await established_call(edge, leg)
        rough_network(edge, 0)
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        await asyncio.sleep(0)
        await call.sends("INVITE", body=call.sdp)
        first = await wait_to_receive(call, "INVITE", to=call.local)
        call.responds(first, 491)
        assert (await wait_to_receive(call, 491)).cseq.method == "INVITE"
        call.peer.auto.add("INVITE")
        began = edge.now
        await offering
        again = arrival_times(call, "INVITE", to=call.local)
        low, high = BACK_OFF_S[leg]
        assert again[1] - began == pytest.approx(low + chance * (high - low) + 0.2, abs=0.11)
        await until_answered(call)
        assert len(messages_received(call, 491)) == 1
        await end_and_assert_clean(edge)


async def test_crossing_reinvites_on_a_lossy_network_both_succeed(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.add("INVITE")
        rough_network(edge, seed)
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        await asyncio.sleep(0)
        await until_answered(call)
        await offering
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("offers", [True, False])
async def test_an_update_that_crosses_our_reinvite_gets_491_with_an_offer_and_200_without_rfc5407_3_3_2(
    new_edge: NewEdge, leg: str, seed: int, offers: bool
) -> None:
    """With an offer it is refused and retried; without one it is a refresh and gets 200 at once."""
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.add("INVITE")
        rough_network(edge, seed)
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        await asyncio.sleep(0)
        if offers:
            await until_answered(call, "UPDATE")
            assert len(messages_received(call, 491)) == 1 or seed
        else:
            assert (await call.requests("UPDATE")).status == 200
        await offering
        await end_and_assert_clean(edge)


async def test_a_second_reinvite_before_the_ack_of_the_first_gets_491_rfc5407_3_1_4(
    new_edge: NewEdge, leg: str
) -> None:
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, 0)
        call.peer.auto.discard("ACK")
        assert (await call.reinvites(call.sdp)).status == 200
        assert (await call.reinvites(call.sdp)).status == 491
        call.peer.auto.add("ACK")
        await edge.time_passes(5)
        for asked in call._asked.values():
            if asked.request.method == "INVITE" and asked.ack is None:
                number = asked.request.cseq.number
                asked.ack = call._build("ACK", number, call.peer.vias(call.peer.ids.branch()))
        await edge.time_passes(5)
        await until_answered(call)
        await end_and_assert_clean(edge)


async def test_our_reinvite_waits_for_the_ack_of_our_200_rfc3261_14_1(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.discard("ACK")
        rough_network(edge, seed)
        assert (await call.reinvites(call.sdp)).status == 200
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        await edge.time_passes(2)
        assert not messages_received(call, "INVITE", to=call.local) or leg != "caller"
        before = len(messages_received(call, "INVITE"))
        call.peer.auto |= {"ACK", "INVITE"}
        while not offering.done():
            call.acks()
            await edge.time_passes(0.7)
        assert len(messages_received(call, "INVITE")) > before
        await offering
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("status", [488, 500, 603])
async def test_a_refused_reinvite_of_ours_leaves_the_session_unchanged_rfc3261_14_1(
    new_edge: NewEdge, leg: str, seed: int, status: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        call.responds(await reinvited(edge, call), status)
        with pytest.raises(SipError):
            await offering
        assert not our_leg(edge, leg).ended.done()
        assert (await call.reinvites(call.sdp)).status == 200
        await end_and_assert_clean(edge)


@pytest.mark.parametrize("status", [408, 481])
async def test_a_408_or_481_to_our_reinvite_ends_the_leg_rfc3261_12_2_1_2(
    new_edge: NewEdge, leg: str, seed: int, status: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        offering = asyncio.ensure_future(our_leg(edge, leg).offer())
        call.responds(await reinvited(edge, call), status)
        with pytest.raises(SipError):
            await offering
        await wait_to_receive(call, "BYE")
        await end_and_assert_clean(edge)


async def test_simultaneous_glare_on_both_legs_is_resolved_on_each(new_edge: NewEdge, seed: int) -> None:
    """Caller and phone offer while we refresh both legs: glare on one leg does not affect the other."""
    async with race_edge(new_edge, seed) as edge:
        await edge.bridges()
        rough_network(edge, seed)
        calls = [peer(edge, leg).current for leg in LEGS if leg != "agent"]
        for call in calls:
            call.peer.auto.add("INVITE")
        offers = [asyncio.ensure_future(our_leg(edge, leg).offer()) for leg in LEGS if leg != "agent"]
        await asyncio.sleep(0)
        await asyncio.gather(*(until_answered(call) for call in calls), *offers)
        await end_and_assert_clean(edge)


async def reinvited(edge: Edge, call: PeerCall):
    """Wait for our re-INVITE at the peer and return it."""
    while True:
        found = [each for each in messages_received(call, "INVITE") if each.to_tag]
        if found:
            return found[-1]
        await edge.time_passes(0.05)


async def test_a_reinvite_resent_after_its_200_is_absorbed_rfc6026_7_1(new_edge: NewEdge, leg: str) -> None:
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        assert (await call.reinvites(call.sdp)).status == 200
        said = len(messages_received(call, 200, method="INVITE"))
        assert call.invite is not None
        for _ in range(5):
            resend(call, call.invite)
            await edge.time_passes(5)
        assert len(messages_received(call, 200, method="INVITE")) == said
        await end_and_assert_clean(edge)


async def test_a_cancel_after_our_200_to_a_reinvite_has_no_effect_rfc3261_9_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        await call.sends("INVITE", body=call.sdp)
        await edge.time_passes(1.5 * edge.wire.delay_s)
        assert (await call.cancels()).status in ((200,) if not seed else (200, 481))
        await wait_to_receive(call, 200, method="INVITE")
        await edge.time_passes(5)
        assert not messages_received(call, 487)
        assert not messages_received(call, "BYE")
        await end_and_assert_clean(edge)


async def test_the_phone_is_connected_although_our_refresh_to_the_caller_is_pending(
    new_edge: NewEdge,
) -> None:
    """In direct mode caller and phone are connected by re-INVITE, which waits for the refresh to end."""
    async with race_edge(new_edge, mode="direct") as edge:
        await edge.connects()
        edge.carrier.auto.discard("INVITE")
        refreshing = asyncio.ensure_future(our_leg(edge, "caller").refresh())
        refresh = await wait_to_receive(edge.carrier.current, "INVITE")
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        await edge.time_passes(1)
        edge.carrier.auto.add("INVITE")
        edge.carrier.current.responds(refresh, 200, sdp=SDP)
        await refreshing
        await edge.time_passes(1)
        await end_and_assert_clean(edge)
        assert edge.record.outcome is not None
        assert edge.record.outcome.result is Result.BRIDGED
