"""Delayed offer: our INVITE has none, the 2xx has the offer, our ACK the answer (RFC 3261 §13.2.1)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ua.errors import LegEnded, OfferRefused, Rejected
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.user_agent import NOTHING, UserAgent, from_callee, from_caller, wait_for_ringing

INVITE = messages.invite()
OTHER = SDP.replace(b"4000", b"4002")


async def offered(ua: UserAgent) -> tuple[Leg, asyncio.Task[None]]:
    """A leg whose peer has sent its offer in the 2xx, and has no answer from us yet."""
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    assert (invite.body, "Content-Type" in invite.headers) == (b"", False)
    ua.peer.answers(invite, 180)
    ua.peer.answers(invite, 200)
    return leg, task


async def test_the_ack_is_sent_only_with_our_answer_to_the_offer_in_the_2xx_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    leg, task = await offered(ua)
    await task
    await ua.peer.hears_nothing(3)
    assert leg.media.calls == [("offer", b""), ("accept", SDP)]
    leg.offered.reply(OTHER)
    ack = await ua.peer.hears("ACK")
    assert (ack.body, ack.headers.get("Content-Type"), ack.to_tag) == (OTHER, "application/sdp", "bob1")
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_a_retransmitted_2xx_gets_the_same_ack_and_none_before_our_answer_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    for _ in range(3):
        ua.peer.answers(invite, 200)
    await task
    await ua.peer.hears_nothing(1)
    leg.offered.reply(OTHER)
    first = await ua.peer.hears("ACK")
    ua.peer.answers(invite, 200)
    assert await ua.peer.hears("ACK") == first
    assert leg.media.calls == [("offer", b""), ("accept", SDP)]


async def test_an_offer_in_the_2xx_that_is_answered_at_once_is_answered_in_the_ack(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(late=True)
    ua.peer.answers(invite, 200)
    await task
    assert (await ua.peer.hears("ACK")).body == SDP
    assert not leg.ended.done()


async def test_a_leg_ended_before_our_answer_sends_an_ack_refusing_all_media_and_a_bye_rfc3261_15(
    ua: UserAgent,
) -> None:
    leg, task = await offered(ua)
    await task
    leg.end(EndReason.COMPLETED)
    assert (await ua.peer.hears("ACK")).body == NOTHING
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_bye_before_our_answer_is_followed_by_an_ack_refusing_all_media(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    ua.peer.answers(invite, 200)
    await task
    await ua.peer.says(from_callee(invite, "BYE", 1))
    assert (await ua.peer.hears("ACK")).body == NOTHING
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()


async def test_an_unacceptable_offer_in_the_2xx_gets_an_ack_refusing_all_media_and_a_bye_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    leg.media.refuses = None
    ua.peer.answers(invite, 183, body=b"")
    leg.media.refuses = 488
    ua.peer.answers(invite, 200)
    with pytest.raises(OfferRefused):
        await task
    assert (await ua.peer.hears("ACK")).body == NOTHING
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.MEDIA_REFUSED
    await ua.assert_clean()


async def test_a_200_crossing_our_cancel_gets_an_ack_refusing_all_media_and_a_bye_rfc3261_9_1(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    ua.peer.answers(invite, 180)
    await wait_for_ringing(leg)
    leg.end(EndReason.NO_ANSWER)
    ua.peer.answers(invite, 200)
    with pytest.raises(LegEnded):
        await task
    assert (await ua.peer.hears("ACK")).body == NOTHING
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_2xx_of_another_fork_gets_an_ack_refusing_all_media_and_a_bye_rfc3261_13_2_2_4(
    ua: UserAgent,
) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    ua.peer.answers(invite, 200)
    await task
    ua.peer.answers(invite, 200, to_tag="carol1")
    ack = await ua.peer.hears("ACK")
    assert (ack.to_tag, ack.body) == ("carol1", NOTHING)
    bye = await ua.peer.hears("BYE")
    assert bye.to_tag == "carol1"
    ua.peer.answers(bye, 200)
    leg.offered.reply(OTHER)
    ack = await ua.peer.hears("ACK")
    assert (ack.to_tag, ack.body) == ("bob1", OTHER)


async def test_a_2xx_of_another_fork_of_an_invite_with_offer_gets_an_empty_ack(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call()
    ua.peer.answers(invite, 200)
    await task
    await ua.peer.hears("ACK")
    ua.peer.answers(invite, 200, to_tag="carol1")
    ack = await ua.peer.hears("ACK")
    assert (ack.to_tag, ack.body) == ("carol1", b"")
    assert not leg.ended.done()


@pytest.mark.parametrize("status", [400, 415, 488, 606])
async def test_a_refused_invite_without_offer_is_repeated_with_one_rfc3261_21_4_26(
    ua: UserAgent, status: int
) -> None:
    leg, task, invite = await ua.start_call(late=True, concedes=True)
    ua.peer.answers(invite, status)
    again = await ua.peer.hears("INVITE")
    assert (again.call_id, again.cseq.number, again.body) == (invite.call_id, 2, SDP)
    ua.peer.answers(again, 200)
    await task
    assert leg.media.calls[-1] == ("answered", SDP)


async def test_a_refusal_of_the_repeated_invite_with_offer_is_final(ua: UserAgent) -> None:
    _, task, invite = await ua.start_call(late=True, concedes=True)
    ua.peer.answers(invite, 488)
    ua.peer.answers(await ua.peer.hears("INVITE"), 488)
    with pytest.raises(Rejected):
        await task
    await ua.assert_clean()


# The peer's later offers, when our answer takes time.


async def test_a_reinvite_whose_answer_takes_time_gets_a_100_first_rfc3261_8_2_6_1(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.leaves_open = True
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(100)
    await ua.peer.hears_nothing(5)
    leg.offered.reply(OTHER)
    response = await ua.peer.hears(200)
    assert (response.body, response.cseq.number) == (OTHER, 2)
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2))


async def test_an_update_whose_answer_takes_time_gets_its_200_with_the_answer_rfc3311_5_2(
    ua: UserAgent,
) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.leaves_open = True
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 2, body=OTHER))
    await asyncio.sleep(1)
    leg.offered.reply(OTHER)
    assert (await ua.peer.hears(200)).body == OTHER


async def test_an_update_with_an_offer_gets_500_while_a_reinvite_is_unanswered_rfc3261_14_2(
    ua: UserAgent,
) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.leaves_open = True
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(100)
    await ua.peer.says(from_caller(INVITE, "UPDATE", ours, 3, body=OTHER))
    refused = await ua.peer.hears(500)
    assert refused.headers.get("Retry-After") is not None
    leg.offered.refuse(491)
    await ua.peer.hears(491)
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    leg.media.leaves_open = False
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 4, body=OTHER))
    await ua.peer.hears(200)


async def test_an_unanswered_reinvite_gets_487_when_the_leg_ends_rfc3261_15_1_2(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.leaves_open = True
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=OTHER))
    await ua.peer.hears(100)
    leg.end(EndReason.COMPLETED)
    await ua.peer.hears(487)
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    leg.offered.reply(OTHER)
    await ua.peer.hears_nothing(5)
    await ua.assert_clean()


async def test_an_update_with_an_offer_before_our_ack_gets_500_rfc3311_5_2(ua: UserAgent) -> None:
    leg, task, invite = await ua.start_call(late=True, leaves_open=True)
    ua.peer.answers(invite, 200)
    await task
    await ua.peer.says(from_callee(invite, "UPDATE", 1, body=OTHER))
    await ua.peer.hears(500)
    leg.offered.reply(OTHER)
    assert (await ua.peer.hears("ACK")).body == OTHER


async def test_our_reinvite_is_given_up_after_repeated_491s_rfc3261_14_1(
    ua: UserAgent,
) -> None:
    leg, _ = await ua.connected_leg()
    offering = asyncio.ensure_future(leg.offer(glare_s=5.0))
    while not offering.done():
        if ua.peer.count("INVITE") > ua.peer.count("ACK"):
            ua.peer.answers(ua.peer.all("INVITE")[-1], 491)
        await asyncio.sleep(0.1)
    with pytest.raises(Rejected):
        await offering
    assert 2 <= ua.peer.count("INVITE") - 1 <= 4
