"""Transactions bound to a flow and a user: CANCEL timing, early events, retries after lost connections."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.headers import Headers
from proxy.sip.message import Request
from proxy.transport.flow import Target
from proxy.ua.errors import LegEnded
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ClientTransaction, NullUser
from tests.kit import messages
from tests.ua.user_agent import PEER, UserAgent, wait_for_ringing


async def launched(ua: UserAgent, method: str) -> ClientTransaction:
    """A client transaction that has sent a request of this method to the peer."""
    flow = await ua.network.connect(Target("udp", (PEER, 5060), PEER))
    lines = [("From", "<sip:us@x>;tag=1"), ("To", "<sip:bob@x>"), ("Call-ID", "c"), ("CSeq", f"1 {method}")]
    return ua.core.launch(Request(method, f"sip:bob@{PEER}", Headers(lines)), flow, NullUser())


async def test_a_cancel_waits_for_a_provisional_and_only_an_invite_is_cancelled(
    ua: UserAgent,
) -> None:
    options = await launched(ua, "OPTIONS")
    ua.peer.answers(await ua.peer.hears("OPTIONS"), 100, to_tag=None)
    await asyncio.sleep(0.1)
    options.cancel("SIP;cause=200")
    invite = await launched(ua, "INVITE")
    invite.cancel("SIP;cause=200")
    received = await ua.peer.hears("INVITE")
    ua.peer.answers(received, 183)
    assert (await ua.peer.hears("CANCEL")).headers.get("Reason") == "SIP;cause=200"
    assert ua.peer.count("CANCEL") == 1


async def test_a_cancel_after_the_final_response_is_not_sent(ua: UserAgent) -> None:
    invite = await launched(ua, "INVITE")
    ua.peer.answers(await ua.peer.hears("INVITE"), 486)
    await ua.peer.hears("ACK")
    invite.cancel("SIP;cause=200")
    await ua.assert_clean()
    assert ua.peer.count("CANCEL") == 0


async def test_an_unanswered_options_is_retransmitted_and_ends_without_an_error(ua: UserAgent) -> None:
    await launched(ua, "OPTIONS")
    await ua.assert_clean()
    assert len(ua.peer.all("OPTIONS")) == 11


async def test_every_response_but_100_has_our_to_tag_rfc3261_8_2_6_2(ua: UserAgent) -> None:
    await ua.peer.says(messages.invite())
    transaction = await ua.invited()
    assert transaction.make(100).to_tag is None
    assert transaction.make(180).to_tag == transaction.make(486).to_tag == transaction.tag
    assert not transaction.answered
    transaction.reply(486)
    assert transaction.answered
    transaction.reply(200)
    await asyncio.sleep(0.1)
    assert ua.peer.count(200) == 0


async def test_a_cancel_before_the_transaction_is_watched_is_reported_once_it_is(ua: UserAgent) -> None:
    await ua.peer.says(messages.invite())
    await ua.peer.says(messages.cancel(messages.invite()))
    await ua.peer.hears(200)
    transaction = await ua.invited()
    events: list[str] = []
    transaction.watch(lambda: events.append("cancelled"), lambda error: events.append("failed"))
    assert events == ["cancelled"]


async def test_a_bye_that_cannot_be_sent_is_retransmitted_once_the_peer_is_reachable(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg()
    ua.wire.unreachable.add(PEER)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(3)
    ua.wire.unreachable.clear()
    bye = await ua.peer.hears("BYE", within_s=1)
    ua.peer.answers(bye, 200)
    await ua.assert_clean()
    assert ua.peer.count("BYE") == 1


async def test_a_reinvite_that_cannot_be_sent_is_retransmitted_and_does_not_end_the_call(
    ua: UserAgent,
) -> None:
    leg, _ = await ua.connected_leg()
    ua.wire.unreachable.add(PEER)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(1)
    ua.wire.unreachable.clear()
    ua.peer.answers(await ua.peer.hears("INVITE", within_s=1), 200)
    await offering
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_cancel_that_cannot_be_sent_is_retransmitted_once_the_peer_is_reachable(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    ua.wire.unreachable.add(PEER)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(3)
    ua.wire.unreachable.clear()
    ua.peer.answers(await ua.peer.hears("CANCEL", within_s=1), 200)
    ua.peer.answers(invite, 487)
    with pytest.raises(LegEnded):
        await task
    await ua.assert_clean()


async def test_a_200_that_cannot_be_sent_is_retransmitted_once_the_peer_is_reachable(ua: UserAgent) -> None:
    invite = messages.invite()
    leg = await ua.ringing_leg(invite)
    ua.wire.unreachable.add(PEER)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(3)
    ua.wire.unreachable.clear()
    await ua.peer.hears(200, within_s=1)
    await ua.peer.says(messages.ack(invite, to_tag="tag1"))
    await answering
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_481_that_cannot_be_sent_is_sent_when_the_request_is_retransmitted(ua: UserAgent) -> None:
    ua.wire.unreachable.add(PEER)
    bye = messages.bye(messages.invite(), to_tag="nobody")
    await ua.peer.says(bye)
    await asyncio.sleep(0.1)
    ua.wire.unreachable.clear()
    await ua.peer.says(bye)
    await ua.peer.hears(481, within_s=1)
    await ua.assert_clean()
