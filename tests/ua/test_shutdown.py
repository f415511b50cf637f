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


async def ends(ua: UserAgent, leg: Leg) -> asyncio.Task[None]:
    """End this leg and start closing the core; the task finishes when all signalling has."""
    leg.end(EndReason.DRAINING)
    return asyncio.ensure_future(closes(ua))


async def closes(ua: UserAgent) -> None:
    await finish_signalling(ua.core)
    await ua.core.close()


async def test_where_all_is_said_nothing_is_waited_for(ua: UserAgent) -> None:
    before = ua.now
    await finish_signalling(ua.core)
    assert ua.now == before


async def test_a_bye_that_is_lost_is_said_again_before_the_house_closes(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    before = ua.now
    closing = await ends(ua, leg)
    await ua.peer.hears("BYE")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert 0.5 <= ua.now - before < 0.6


async def test_a_bye_that_is_challenged_gets_its_credentials_before_the_house_closes(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(credentials=secret())
    closing = await ends(ua, leg)
    await asyncio.sleep(0.4)
    ua.peer.answers(await ua.peer.hears("BYE"), 407, headers=[PROXY])
    again = await ua.peer.hears("BYE")
    assert "Proxy-Authorization" in again.headers
    ua.peer.answers(again, 200)
    await closing


async def test_a_bye_whose_way_has_to_be_looked_up_is_sent_before_the_house_closes(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(ok={"contact": INTERNAL})
    closing = await ends(ua, leg)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing


async def test_a_phone_that_has_not_said_that_it_rings_is_cancelled_before_the_house_closes(
    ua: UserAgent,
) -> None:
    leg, calling, invite = await ua.start_call()
    closing = await ends(ua, leg)
    await asyncio.sleep(1)
    ua.peer.answers(invite, 180)
    cancel = await ua.peer.hears("CANCEL")
    ua.peer.answers(cancel, 200)
    ua.peer.answers(invite, 487)
    await ua.peer.hears("ACK")
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_a_phone_that_answers_as_the_house_closes_is_hung_up(ua: UserAgent) -> None:
    leg, calling, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    closing = await ends(ua, leg)
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    ua.peer.answers(invite, 200)
    await ua.peer.hears("ACK")
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_a_caller_that_has_yet_to_acknowledge_our_200_hears_our_bye_before_the_house_closes(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg()
    answering = asyncio.ensure_future(leg.answer())
    ok = await ua.peer.hears(200)
    closing = await ends(ua, leg)
    await ua.peer.hears(200)
    await ua.peer.says(messages.ack(leg.invitation.request, to_tag=ok.to_tag))
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(answering), LegEnded)


async def test_a_peer_that_says_nothing_more_is_not_waited_for_without_end(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    before = ua.now
    await (await ends(ua, leg))
    assert PATIENCE_S <= ua.now - before < PATIENCE_S + 0.1
    assert ua.peer.count("BYE") == 4


async def _failure(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()
