"""Reliable provisional responses that we send, because the peer requires them (RFC 3262 §3, §5)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.message import Request, Response
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.user_agent import Peer, UserAgent, from_caller

REQUIRED = ("Require", "100rel")
INVITE = messages.invite(headers=[REQUIRED])
LATE = messages.invite(headers=[REQUIRED], body=b"")
OTHER = SDP.replace(b"4000", b"4002")


def prack(
    invite: Request, ringing: Response, number: int = 2, *, rack: str = "", body: bytes = b""
) -> Request:
    rack = rack or f"{ringing.headers.get('RSeq')} 1 INVITE"
    return from_caller(invite, "PRACK", ringing, number, headers=[("RAck", rack)], body=body)


async def ringing_leg(ua: UserAgent, invite: Request = INVITE) -> tuple[Leg, Response]:
    """A ringing leg, and the 180 as the peer received it."""
    leg = await ua.ringing_leg(invite)
    leg.progress(180)
    return leg, await ua.peer.hears(180)


async def test_a_reliable_180_is_retransmitted_until_its_prack_and_the_call_proceeds_rfc3262_3(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua)
    assert (ringing.headers.get("Require"), ringing.headers.get("RSeq")) == ("100rel", "1")
    assert "UPDATE" in ringing.headers.get("Allow")
    assert (ringing.body, ua.peer.all(100)[0].headers.get("RSeq")) == (b"", None)
    await asyncio.sleep(4)
    await ua.peer.says(prack(INVITE, ringing))
    assert (await ua.peer.hears(200)).cseq.method == "PRACK"
    await asyncio.sleep(20)
    assert ua.peer.times(180) == [0, 0.5, 1.5, 3.5]
    answering = asyncio.ensure_future(leg.answer())
    answer = await ua.peer.hears(200)
    assert (answer.body, answer.to_tag) == (SDP, ringing.to_tag)
    await ua.peer.says(messages.ack(INVITE, to_tag=answer.to_tag))
    await answering
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_an_unacknowledged_reliable_180_is_followed_by_504_after_64_t1_rfc3262_3(ua: UserAgent) -> None:
    leg, _ = await ringing_leg(ua)
    began = ua.now
    refusal = await ua.peer.hears(504)
    assert ua.now - began == pytest.approx(32.0, abs=0.01)
    assert ua.peer.times(180) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert "cause=102" in refusal.headers.get("Reason")
    assert leg.ended.result() is EndReason.NO_PRACK
    await ua.assert_clean()


async def test_a_retransmitted_prack_gets_200_again_and_an_unmatched_one_481_rfc3262_3(ua: UserAgent) -> None:
    _, ringing = await ringing_leg(ua)
    first = prack(INVITE, ringing)
    for _ in range(2):
        await ua.peer.says(first)
        await ua.peer.hears(200)
    await ua.peer.says(prack(INVITE, ringing, 3))
    await ua.peer.hears(481)
    await ua.peer.says(prack(INVITE, ringing, 4, rack="77 1 INVITE"))
    await ua.peer.hears(481)
    await ua.peer.says(prack(INVITE, ringing, 5, rack="soon"))
    await ua.peer.hears(400)


async def test_a_prack_without_a_dialog_or_reliable_provisional_gets_481(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("PRACK", to_tag="nobody", headers=[("RAck", "1 1 INVITE")]))
    await ua.peer.hears(481)
    _, ours = await ua.answered_leg()
    await ua.peer.says(prack(messages.invite(), ours, rack="1 1 INVITE"))
    await ua.peer.hears(481)


async def test_a_second_reliable_provisional_waits_for_the_prack_of_the_first_rfc3262_3(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua)
    leg.progress(183)
    await asyncio.sleep(0.2)
    assert ua.peer.count(183) == 0
    await ua.peer.says(prack(INVITE, ringing))
    second = await ua.peer.hears(183)
    assert second.headers.get("RSeq") == "2"
    await ua.peer.says(prack(INVITE, second, 3))
    await ua.peer.hears(200)


async def test_a_reliable_183_with_our_answer_delays_the_200_until_its_prack_rfc3262_5(
    ua: UserAgent,
) -> None:
    leg = await ua.ringing_leg(INVITE)
    leg.progress(183, early=True)
    early = await ua.peer.hears(183)
    assert (early.headers.get("RSeq"), early.body) == ("1", SDP)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(0.2)
    assert ua.peer.count(200) == 0
    await ua.peer.says(prack(INVITE, early))
    await ua.peer.hears(200, within_s=1)  # to the PRACK
    answer = await ua.peer.hears(200, within_s=1)
    assert (answer.cseq.method, answer.body) == ("INVITE", b"")
    await ua.peer.says(messages.ack(INVITE, to_tag=early.to_tag))
    await answering


async def test_a_reliable_180_is_repeated_every_150_seconds_rfc3262_3(ua: UserAgent) -> None:
    leg, ringing = await ringing_leg(ua)
    began = ua.now
    for number in (2, 3):
        await ua.peer.says(prack(INVITE, ringing, number))
        ringing = await ua.peer.hears(180, within_s=151)
        assert ringing.headers.get("RSeq") == str(number)
        assert ua.now - began == pytest.approx(150.0 * (number - 1), abs=0.01)
    await ua.peer.says(prack(INVITE, ringing, 4))
    await ua.peer.says(messages.cancel(INVITE))
    await ua.peer.hears(487)
    assert leg.ended.result() is EndReason.CANCELLED
    await ua.assert_clean(200)


async def test_supported_100rel_without_require_gets_unreliable_provisionals_rfc3262_3(ua: UserAgent) -> None:
    invite = messages.invite(headers=[("Supported", "100rel")])
    _, ringing = await ringing_leg(ua, invite)
    assert "RSeq" not in ringing.headers
    assert "Require" not in ringing.headers
    await asyncio.sleep(5)
    assert ua.peer.count(180) == 1


async def test_the_200_does_not_wait_for_the_prack_of_a_180_without_sdp_rfc3262_3(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua)
    answering = asyncio.ensure_future(leg.answer())
    answer = await ua.peer.hears(200)
    await ua.peer.says(messages.ack(INVITE, to_tag=answer.to_tag))
    await answering
    await ua.peer.says(prack(INVITE, ringing))
    assert (await ua.peer.hears(200)).cseq.method == "PRACK"
    assert ua.peer.count(180) == 1


async def test_a_prack_after_our_non_2xx_gets_200_and_its_offer_is_ignored_rfc3262_3(ua: UserAgent) -> None:
    leg, ringing = await ringing_leg(ua)
    leg.end(EndReason.DECLINED)
    await ua.peer.hears(603)
    await ua.peer.says(prack(INVITE, ringing, body=OTHER))
    assert (await ua.peer.hears(200)).cseq.method == "PRACK"
    assert ("accept", OTHER) not in leg.media.calls
    await ua.assert_clean()


async def test_after_a_cancel_the_missing_prack_is_not_awaited(ua: UserAgent) -> None:
    leg, _ = await ringing_leg(ua)
    await ua.peer.says(messages.cancel(INVITE))
    await ua.peer.hears(487)
    await ua.assert_clean()
    assert leg.ended.result() is EndReason.CANCELLED
    assert (ua.peer.count(180), ua.peer.count(504)) == (1, 0)


async def test_a_lost_connection_to_an_unreachable_caller_awaiting_prack_ends_the_leg(
    ua: UserAgent,
) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    leg = await ua.ringing_leg(messages.invite(transport="TCP", headers=[REQUIRED]), peer)
    leg.progress(180)
    await peer.hears(180)
    ua.wire.silence("192.0.2.7")
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(4.1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await ua.assert_clean(0.1)


async def test_closing_the_core_does_not_wait_for_a_prack(ua: UserAgent) -> None:
    await ringing_leg(ua)
    await ua.core.close()
    await ua.assert_clean(0)


# Offers and answers


async def test_our_offer_is_in_the_reliable_180_and_the_answer_in_its_prack_rfc3262_5(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua, LATE)
    assert ringing.body == SDP
    await ua.peer.says(prack(LATE, ringing, body=OTHER))
    accepted = await ua.peer.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("PRACK", b"")
    assert leg.media.calls == [("offer", b""), ("answered", OTHER)]
    leg.progress(183)
    again = await ua.peer.hears(183)
    assert again.body == b""
    await ua.peer.says(prack(LATE, again, 3))
    await ua.peer.hears(200)
    answering = asyncio.ensure_future(leg.answer())
    answer = await ua.peer.hears(200)
    assert answer.body == b""
    await ua.peer.says(from_caller(LATE, "ACK", answer, 1, body=SDP))
    await answering
    assert leg.media.calls == [("offer", b""), ("answered", OTHER)]


async def test_the_200_waits_for_the_prack_of_a_180_with_our_offer_rfc3262_3(ua: UserAgent) -> None:
    leg, ringing = await ringing_leg(ua, LATE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(2)
    assert ua.peer.count(200) == 0
    await ua.peer.says(prack(LATE, ringing, body=SDP))
    assert [(await ua.peer.hears(200)).cseq.method for _ in range(2)] == ["PRACK", "INVITE"]
    await ua.peer.says(messages.ack(LATE, to_tag=ringing.to_tag or ""))
    await answering


async def test_a_200_waiting_for_a_prack_is_not_sent_after_a_cancel(ua: UserAgent) -> None:
    leg, _ = await ringing_leg(ua, LATE)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(1)
    await ua.peer.says(messages.cancel(LATE))
    with pytest.raises(LegEnded) as end:
        await answering
    assert end.value.reason is EndReason.CANCELLED
    await ua.peer.hears(487)
    await ua.assert_clean()


async def test_an_unusable_answer_in_a_prack_ends_the_leg_with_488(ua: UserAgent) -> None:
    leg, ringing = await ringing_leg(ua, LATE)
    leg.media.refuses = 488
    await ua.peer.says(prack(LATE, ringing))
    assert (await ua.peer.hears(200)).cseq.method == "PRACK"
    await ua.peer.hears(488)
    assert leg.ended.result() is EndReason.MEDIA_REFUSED
    await ua.assert_clean()


async def test_a_media_failure_to_make_the_offer_for_a_180_is_raised(ua: UserAgent) -> None:
    leg = await ua.ringing_leg(LATE)
    leg.media.refuses = 503
    with pytest.raises(OfferRefused):
        leg.progress(180)
    leg.end(EndReason.OVERLOADED)
    await ua.peer.hears(503)
    await ua.assert_clean()


async def test_a_new_offer_in_a_prack_is_answered_in_its_200_rfc3262_5(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua, LATE)
    await ua.peer.says(prack(LATE, ringing, body=SDP))
    await ua.peer.hears(200)
    leg.progress(183)
    again = await ua.peer.hears(183)
    await ua.peer.says(prack(LATE, again, 3, body=OTHER))
    accepted = await ua.peer.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("PRACK", SDP)
    assert leg.media.calls[-1] == ("accept", OTHER)


async def test_an_offer_in_a_prack_before_the_first_is_answered_gets_500_but_acknowledges_rfc3262_5(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua)
    leg.prepare_sdp()
    await ua.peer.says(prack(INVITE, ringing, body=OTHER))
    refusal = await ua.peer.hears(500)
    assert refusal.headers.get("Retry-After") == "5"
    assert leg.media.calls == [("accept", SDP)]
    await asyncio.sleep(5)
    assert ua.peer.count(180) == 1


async def test_a_prack_with_a_body_other_than_sdp_gets_415(ua: UserAgent) -> None:
    _, ringing = await ringing_leg(ua, LATE)
    odd = prack(LATE, ringing, body=b"hello")
    odd.headers.set("Content-Type", "text/plain")
    await ua.peer.says(odd)
    assert (await ua.peer.hears(415)).headers.get("Accept") == "application/sdp"


# UPDATE in the early dialog (RFC 3311)


async def test_an_early_update_with_an_offer_gets_491_until_our_offer_is_answered_rfc3311_5_1(
    ua: UserAgent,
) -> None:
    leg, ringing = await ringing_leg(ua, LATE)
    await ua.peer.says(from_caller(LATE, "UPDATE", ringing, 2, body=OTHER))
    await ua.peer.hears(491)  # our offer is unanswered
    await ua.peer.says(prack(LATE, ringing, 3, body=SDP))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(LATE, "UPDATE", ringing, 4, body=OTHER))
    accepted = await ua.peer.hears(200)
    assert (accepted.cseq.method, accepted.body) == ("UPDATE", SDP)
    assert accepted.headers.get("Contact")
    assert leg.media.calls[-1] == ("accept", OTHER)


async def test_an_early_update_without_an_offer_gets_200_and_one_with_an_offer_500_rfc3311_5_2(
    ua: UserAgent,
) -> None:
    _, ringing = await ringing_leg(ua)
    await ua.peer.says(prack(INVITE, ringing))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "UPDATE", ringing, 3))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "UPDATE", ringing, 4, body=OTHER))
    assert (await ua.peer.hears(500)).headers.get("Retry-After") == "5"  # their first offer is unanswered
    await ua.peer.says(from_caller(INVITE, "INVITE", ringing, 5))
    await ua.peer.hears(500)


async def test_options_and_2xx_list_the_supported_extensions_rfc3262_3(ua: UserAgent) -> None:
    await ua.peer.says(messages.request("OPTIONS", branch="z9hG4bKoptions", call_id="asks"))
    assert (await ua.peer.hears(200)).headers.get("Supported") == "timer, norefersub, 100rel"
    leg, ours = await ua.answered_leg()
    assert ours.headers.get("Supported") == "timer, norefersub"
    await ua.peer.says(from_caller(messages.invite(), "OPTIONS", ours, 2))
    able = await ua.peer.hears(200)
    assert able.headers.get("Supported") == "timer, norefersub, 100rel"
    assert "PRACK" in able.headers.get("Allow")
    assert leg.dialog is not None
