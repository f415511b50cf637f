"""A leg, one dialog from our side: in-dialog requests, and how it ends (RFC 3261 §12.2, §15; RFC 5407)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ua.errors import LegEnded
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.user_agent import Peer, UserAgent, from_callee, from_caller

INVITE = messages.invite()


async def test_the_peers_bye_ends_the_leg_and_gets_200_again_when_retransmitted(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    bye = messages.bye(INVITE, to_tag=ours.to_tag)
    await ua.peer.says(bye)
    await ua.peer.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.peer.says(bye)
    await ua.peer.hears(200)
    await ua.assert_clean()


async def test_our_bye_is_retransmitted_until_timer_f_and_sent_once_rfc3261_17_1_2_2(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    leg.end(EndReason.COMPLETED)
    leg.end(EndReason.FAILED)
    await asyncio.sleep(40)
    assert ua.peer.times("BYE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert leg.ended.result() is EndReason.COMPLETED
    await ua.assert_clean()


async def test_crossing_byes_end_the_dialog_on_both_sides_rfc5407_3_2_1(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    leg.end(EndReason.COMPLETED)
    await ua.peer.says(messages.bye(INVITE, to_tag=ours.to_tag))
    bye = await ua.peer.hears("BYE")
    assert (await ua.peer.hears(200)).cseq.method == "BYE"
    ua.peer.answers(bye, 481)
    assert leg.ended.result() is EndReason.COMPLETED
    await ua.assert_clean()


async def test_our_bye_has_a_reason_header_rfc3326(ua: UserAgent) -> None:
    leg, _ = await ua.answered_leg()
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    assert bye.headers.get("Reason") == 'Q.850;cause=16;text="the call is over"'
    assert bye.uri == "sip:alice@192.0.2.1:5060"


async def test_a_reinvite_crossing_our_bye_gets_481_rfc5407_3_2_2(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    leg.end(EndReason.COMPLETED)
    await ua.peer.says(from_caller(INVITE, "INVITE", ours, 2, body=messages.SDP))
    await ua.peer.hears("BYE")
    await ua.peer.hears(481)
    assert leg.media.calls == [("accept", messages.SDP)]


async def test_a_request_with_a_lower_cseq_number_gets_500_rfc3261_12_2_2(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "OPTIONS", ours, 5))
    await ua.peer.hears(200)
    await ua.peer.says(from_caller(INVITE, "BYE", ours, 4))
    await ua.peer.hears(500)
    assert not leg.ended.done()


@pytest.mark.parametrize(
    ("method", "status", "allow"),
    [
        ("OPTIONS", 200, True), ("MESSAGE", 405, True), ("PRACK", 481, False),
        ("NOTIFY", 481, False), ("REFER", 603, False),
    ],
)  # fmt: skip
async def test_a_leg_answers_in_dialog_requests_without_its_owner_by_method(
    ua: UserAgent, method: str, status: int, allow: bool
) -> None:
    _, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, method, ours, 2, headers=[("Refer-To", "<sip:x@y>")]))
    response = await ua.peer.hears(status)
    assert ("Allow" in response.headers) is allow
    if allow:
        assert "REFER" not in response.headers.get("Allow")


async def test_allow_lists_refer_on_a_leg_that_accepts_refer(ua: UserAgent) -> None:
    _, invite = await ua.connected_leg(takes_refer=True)
    assert "REFER" in (invite.headers.get("Allow") or "")


async def test_an_unknown_require_in_a_dialog_gets_420(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    await ua.peer.says(from_caller(INVITE, "OPTIONS", ours, 2, headers=[("Require", "magic")]))
    assert (await ua.peer.hears(420)).headers.get("Unsupported") == "magic"
    assert not leg.ended.done()


async def test_the_contact_of_an_update_becomes_the_target_rfc3261_12_2(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    moved = from_caller(INVITE, "UPDATE", ours, 2).encode().replace(b"sip:alice@", b"sip:moved@")
    await ua.peer.says(moved)
    await ua.peer.hears(200)
    leg.end(EndReason.COMPLETED)
    assert (await ua.peer.hears("BYE")).uri == "sip:moved@192.0.2.1:5060"


@pytest.mark.parametrize("refused_for", ["Session-Expires", "offer"])
async def test_the_contact_of_a_refused_reinvite_does_not_change_the_target_rfc6141_4(
    ua: UserAgent, refused_for: str
) -> None:
    leg, ours = await ua.answered_leg()
    leg.media.refuses = 488
    timed = [("Supported", "timer"), ("Session-Expires", "30")] if refused_for != "offer" else []
    moved = from_caller(INVITE, "INVITE", ours, 2, body=SDP, headers=timed)
    await ua.peer.says(moved.encode().replace(b"sip:alice@192.0.2.1:5060", b"sip:alice@192.0.2.9:5060"))
    await ua.peer.hears(422 if timed else 488)
    await ua.peer.says(from_caller(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    leg.end(EndReason.COMPLETED)
    assert (await ua.peer.hears("BYE")).uri == "sip:alice@192.0.2.1:5060"


async def test_after_a_lost_connection_a_request_of_the_peer_sets_the_new_flow(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tcp")
    await peer.start()
    invite = messages.invite(transport="TCP", contact="<sip:a@192.0.2.7:9;transport=tcp>")
    leg, ours = await ua.answered_leg(invite, peer)
    ua.wire.cut(ua.wire.flows()[0])
    await peer.says(from_caller(invite, "OPTIONS", ours, 2))
    await peer.hears(200)
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_after_a_lost_connection_the_next_request_opens_a_new_one_of_the_same_transport(
    ua: UserAgent,
) -> None:
    """OpenAI's Contact names no transport, so RFC 3263 alone would choose UDP."""
    peer = Peer(ua.wire, "192.0.2.7", "tls", names=("sip.api.openai.com",))
    await peer.start()
    ok = {"contact": "<sip:OAI@sip.api.openai.com:5061>"}
    leg, _ = await ua.connected_leg(peer, uri="sip:p@sip.api.openai.com:5061;transport=tls", ok=ok)
    ua.wire.cut(ua.wire.flows()[0])
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    bye = await peer.hears("BYE")
    assert (bye.via.transport, bye.uri) == ("TLS", "sip:OAI@sip.api.openai.com:5061")
    assert {carried.transport for carried in ua.wire.trace} == {"tls"}
    peer.answers(bye, 200)
    await ua.assert_clean()


async def test_a_leg_ends_cleanly_if_its_peer_cannot_be_reached_again(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, _ = await ua.connected_leg(peer, uri="sip:p@192.0.2.7:5061;transport=tls",
                                   ok={"contact": "<sip:p@192.0.2.7:5061>"})  # fmt: skip
    ua.wire.cut(ua.wire.flows()[0])
    ua.wire.silence("192.0.2.7")
    leg.end(EndReason.COMPLETED)
    await ua.assert_clean()


async def test_ending_a_leg_that_never_began_sends_nothing(ua: UserAgent) -> None:
    leg = ua.leg()
    leg.end(EndReason.COMPLETED)
    assert leg.ended.result() is EndReason.COMPLETED
    with pytest.raises(LegEnded):
        await leg.offer()
    await ua.assert_clean()


async def test_a_declined_leg_gets_603_with_a_reason_header(ua: UserAgent) -> None:
    leg = await ua.ringing_leg()
    leg.progress(180)
    leg.end(EndReason.DECLINED)
    refusal = await ua.peer.hears(603)
    assert "cause=21" in refusal.headers.get("Reason")
    await ua.assert_clean()


async def test_a_non_2xx_is_retransmitted_until_its_ack_rfc3261_17_2_1(ua: UserAgent) -> None:
    leg = await ua.ringing_leg()
    leg.end(EndReason.NOT_IN_SERVICE)
    await asyncio.sleep(2)
    await ua.peer.says(messages.ack(INVITE, to_tag="tag1", branch=INVITE.via.branch or ""))
    await asyncio.sleep(30)
    assert ua.peer.times(404) == [0, 0.5, 1.5]
    await ua.assert_clean()


async def test_a_bye_to_a_leg_we_called_is_matched_by_its_tags(ua: UserAgent) -> None:
    leg, invite = await ua.connected_leg()
    await ua.peer.says(from_callee(invite, "BYE", tag="somebody-else"))
    await ua.peer.hears(481)
    assert not leg.ended.done()
    await ua.peer.says(from_callee(invite, "BYE", 2))
    await ua.peer.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await ua.assert_clean()
