"""Shutdown: the core waits until every peer has been told of the end, even if messages are lost."""

from __future__ import annotations

import asyncio

from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.shutdown import PATIENCE_S, finish_signalling
from tests.kit import messages
from tests.ua.test_in_dialog_client import INTERNAL, PROXY, secret
from tests.ua.user_agent import UserAgent


async def end_and_close(ua: UserAgent, leg: Leg) -> asyncio.Task[None]:
    """End this leg and start closing the core; the task finishes when all signalling has."""
    leg.end(EndReason.DRAINING)
    return asyncio.ensure_future(finish_and_close(ua))


async def finish_and_close(ua: UserAgent) -> None:
    await finish_signalling(ua.core)
    await ua.core.close()


async def test_without_pending_signalling_shutdown_returns_at_once(ua: UserAgent) -> None:
    before = ua.now
    await finish_signalling(ua.core)
    assert ua.now == before


async def test_shutdown_waits_for_a_lost_bye_to_be_retransmitted(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    before = ua.now
    closing = await end_and_close(ua, leg)
    await ua.peer.hears("BYE")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert 0.5 <= ua.now - before < 0.6


async def test_shutdown_waits_for_a_challenged_bye_to_be_repeated(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    closing = await end_and_close(ua, leg)
    await asyncio.sleep(0.4)
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[PROXY])
    again = await ua.peer.hears("BYE")
    assert "Proxy-Authorization" in again.headers
    ua.peer.answers(again, 200)
    await closing


async def test_shutdown_waits_for_a_bye_whose_target_is_being_resolved(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(ok={"contact": INTERNAL})
    closing = await end_and_close(ua, leg)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing


async def test_shutdown_waits_to_cancel_an_invite_without_a_provisional(
    ua: UserAgent,
) -> None:
    leg, calling, invite = await ua.start_call()
    closing = await end_and_close(ua, leg)
    await asyncio.sleep(1)
    ua.peer.answers(invite, 180)
    cancel = await ua.peer.hears("CANCEL")
    ua.peer.answers(cancel, 200)
    ua.peer.answers(invite, 487)
    await ua.peer.hears("ACK")
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_a_200_that_arrives_during_shutdown_gets_ack_and_bye(ua: UserAgent) -> None:
    leg, calling, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    closing = await end_and_close(ua, leg)
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    ua.peer.answers(invite, 200)
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_shutdown_waits_for_the_ack_to_our_200_and_then_sends_bye(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg()
    answering = asyncio.ensure_future(leg.answer())
    ok = await ua.peer.hears(200)
    closing = await end_and_close(ua, leg)
    await ua.peer.hears(200)
    await ua.peer.says(messages.ack(leg.invitation.request, to_tag=ok.to_tag))
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(answering), LegEnded)


async def test_shutdown_gives_up_on_a_silent_peer_after_its_time_limit(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    before = ua.now
    await (await end_and_close(ua, leg))
    assert PATIENCE_S <= ua.now - before < PATIENCE_S + 0.1
    assert ua.peer.count("BYE") == 4


async def _failure(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()
