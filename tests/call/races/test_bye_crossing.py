"""A BYE crosses something else on the wire (RFC 5407 §3.2.1, §3.2.2, §3.2.3, §3.3.3, Appendices B and D)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.call.outcome import Result
from proxy.ua.errors import LegEnded
from proxy.ua.reason import EndReason
from tests.kit.edge import PHONE_NUMBER, NewEdge
from tests.kit.races import (
    end_and_assert_clean,
    established_call,
    messages_received,
    our_leg,
    race_edge,
    resend,
    rough_network,
    wait_to_receive,
)

REFER_TO = [("Refer-To", f"<tel:{PHONE_NUMBER}>")]


async def test_crossing_byes_end_the_call_and_theirs_gets_200_rfc5407_3_2_1(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        our_leg(edge, leg).end(EndReason.COMPLETED)
        await call.sends("BYE")
        call.finish()
        await wait_to_receive(call, "BYE")
        await edge.time_passes(1)
        await end_and_assert_clean(edge)
        if not seed:
            assert messages_received(call, 200, method="BYE")
            assert len(messages_received(call, "BYE")) == 1


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "REFER", "NOTIFY", "OPTIONS", "INFO"])
async def test_a_request_that_crosses_our_bye_gets_481_rfc5407_3_2_2_and_3_3_3(
    new_edge: NewEdge, leg: str, method: str
) -> None:
    async with race_edge(new_edge) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, 0)
        our_leg(edge, leg).end(EndReason.COMPLETED)
        headers = REFER_TO if method == "REFER" else []
        await call.sends(method, body=call.sdp if method == "INVITE" else b"", headers=headers)
        await wait_to_receive(call, 481)
        await wait_to_receive(call, "BYE")
        await end_and_assert_clean(edge)


@pytest.mark.relay_only("the weather of each seed is made for its messages")
async def test_requests_crossing_our_bye_on_a_lossy_network_get_481(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        our_leg(edge, leg).end(EndReason.COMPLETED)
        for method in ("UPDATE", "REFER", "INVITE"):
            headers = REFER_TO if method == "REFER" else []
            await call.sends(method, body=call.sdp if method == "INVITE" else b"", headers=headers)
        await wait_to_receive(call, 481, method="INVITE")
        await wait_to_receive(call, 481, method="REFER")
        await end_and_assert_clean(edge)
        assert edge.records[0].ended is not None


@pytest.mark.relay_only("peers answer re-INVITEs by themselves")
async def test_a_bye_that_crosses_our_reinvite_gets_200_and_ends_the_leg_rfc5407_3_2_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    """The peer owes 481 to the re-INVITE, and we owe that 481 an ACK; its BYE gets 200."""
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        side = our_leg(edge, leg)
        offering = asyncio.ensure_future(side.offer())
        await edge.time_passes(0)
        await call.sends("BYE")
        call.finish()
        await wait_to_receive(call, 200, method="BYE")
        if not seed:
            call.responds(await wait_to_receive(call, "INVITE"), 481)
            await wait_to_receive(call, "ACK")
        with pytest.raises(LegEnded):
            await offering
        assert side.ended.result() is EndReason.HUNG_UP
        await end_and_assert_clean(edge, faults=not seed)


async def test_a_200_to_our_reinvite_that_crosses_our_bye_is_acknowledged_rfc5407_3_2_3(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        call.peer.auto.add("INVITE")
        rough_network(edge, seed)
        side = our_leg(edge, leg)
        before = len(messages_received(call, "ACK"))
        offering = asyncio.ensure_future(side.offer())
        await edge.time_passes(1.5 * edge.wire.delay_s)
        side.end(EndReason.COMPLETED)
        await wait_to_receive(call, "BYE")
        await asyncio.gather(offering, return_exceptions=True)
        await end_and_assert_clean(edge)
        if not seed:
            assert isinstance(offering.exception(), LegEnded)
            assert len(messages_received(call, "ACK")) > before
            assert not messages_received(call, "CANCEL")


@pytest.mark.relay_only("before the caller is switched over there is no NOTIFY to cross")
async def test_the_phone_is_bridged_although_the_agents_bye_crosses_our_notify(
    new_edge: NewEdge, seed: int
) -> None:
    """The subscription ends with its dialog: no further NOTIFY is sent, and the phone is still bridged."""
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        agent = edge.agent.current
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        phone = await edge.phone.rings()
        rough_network(edge, seed)
        assert phone.invite is not None
        await edge.phone.answers()
        await edge.time_passes(1.05 * edge.wire.delay_s)  # our NOTIFY of the 200 is on its way
        await agent.sends("BYE")
        agent.finish()
        await wait_to_receive(agent, "NOTIFY", sipfrag=200)
        await wait_to_receive(edge.carrier.current, 200)
        await edge.time_passes(5)
        await end_and_assert_clean(edge)
        assert edge.records[0].outcome is not None
        assert edge.records[0].outcome.result is Result.BRIDGED


async def test_an_agents_refer_that_crosses_our_bye_dials_nothing_rfc5407_3_3_3(
    new_edge: NewEdge, seed: int
) -> None:
    """The caller has hung up, so nothing is dialled any more."""
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        agent = edge.agent.current
        rough_network(edge, seed)
        await edge.carrier.current.sends("BYE")
        edge.carrier.current.finish()
        await edge.time_passes(1.1 * edge.wire.delay_s)
        await agent.sends("REFER", headers=REFER_TO)
        await wait_to_receive(agent, "BYE")
        await edge.time_passes(40)
        assert edge.phone.trace == [] or seed
        await end_and_assert_clean(edge)


async def test_the_phone_gets_bye_and_one_200_when_the_callers_bye_crosses_its_reinvite(
    new_edge: NewEdge, seed: int
) -> None:
    """The phone gets its BYE at once; our 200 is not retransmitted after it."""
    async with race_edge(new_edge, seed) as edge:
        phone = await established_call(edge, "phone")
        rough_network(edge, seed)
        await phone.sends("INVITE", body=phone.sdp)
        await edge.time_passes(0.5 * edge.wire.delay_s)
        await edge.carrier.current.sends("BYE")
        edge.carrier.current.finish()
        await wait_to_receive(phone, "BYE")
        await end_and_assert_clean(edge, faults=not seed)  # a 200 lost here is not retransmitted
        if not seed:
            answers = messages_received(phone, 200, method="INVITE")
            assert len(answers) == 1


async def test_caller_agent_and_phone_can_hang_up_at_the_same_time(new_edge: NewEdge, seed: int) -> None:
    async with race_edge(new_edge, seed) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.answers()
        rough_network(edge, seed)
        for each in edge.peers:
            await each.current.sends("BYE")
            each.current.finish()
        await end_and_assert_clean(edge)
        assert edge.records[0].ended is not None


async def test_a_retransmitted_bye_gets_its_200_again_rfc3261_17_2_2(
    new_edge: NewEdge, leg: str, seed: int
) -> None:
    async with race_edge(new_edge, seed) as edge:
        call = await established_call(edge, leg)
        rough_network(edge, seed)
        bye = await call.sends("BYE")
        call.finish()
        await wait_to_receive(call, 200, method="BYE")
        for _ in range(3):
            resend(call, bye)
            await edge.time_passes(5)
        assert not messages_received(call, 481)
        assert len(messages_received(call, 200, method="BYE")) == 4 or seed
        await end_and_assert_clean(edge)
