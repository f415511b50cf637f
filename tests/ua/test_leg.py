"""One dialog from our side: what the peer does in it, and how it ends (RFC 3261 §12.2, §15; RFC 5407)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.ua.errors import LegEnded
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.house import Far, House, back, within

INVITE = messages.invite()


async def test_the_peers_bye_ends_the_leg_and_is_answered_again_when_resent(house: House) -> None:
    leg, ours = await house.called()
    bye = messages.bye(INVITE, to_tag=ours.to_tag)
    await house.far.says(bye)
    await house.far.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await house.far.says(bye)
    await house.far.hears(200)
    await house.assert_clean()


async def test_our_bye_is_resent_until_it_is_answered_rfc3261_17_1_2_2(house: House) -> None:
    leg, _ = await house.called()
    leg.end(EndReason.COMPLETED)
    leg.end(EndReason.FAILED)
    await asyncio.sleep(40)
    assert house.far.times("BYE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert leg.ended.result() is EndReason.COMPLETED
    await house.assert_clean()


async def test_bye_crossing_bye_ends_both_rfc5407_3_2_1(house: House) -> None:
    leg, ours = await house.called()
    leg.end(EndReason.COMPLETED)
    await house.far.says(messages.bye(INVITE, to_tag=ours.to_tag))
    bye = await house.far.hears("BYE")
    assert (await house.far.hears(200)).cseq.method == "BYE"
    house.far.answers(bye, 481)
    assert leg.ended.result() is EndReason.COMPLETED
    await house.assert_clean()


async def test_a_bye_says_why_rfc3326(house: House) -> None:
    leg, _ = await house.called()
    leg.end(EndReason.COMPLETED)
    bye = await house.far.hears("BYE")
    assert bye.headers.get("Reason") == 'Q.850;cause=16;text="the call is over"'
    assert bye.uri == "sip:alice@192.0.2.1:5060"


async def test_what_comes_after_our_bye_is_481_rfc5407_3_2_2(house: House) -> None:
    leg, ours = await house.called()
    leg.end(EndReason.COMPLETED)
    await house.far.says(within(INVITE, "INVITE", ours, 2, body=messages.SDP))
    await house.far.hears("BYE")
    await house.far.hears(481)
    assert leg.media.told == [("accept", messages.SDP)]


async def test_a_request_out_of_order_is_500_rfc3261_12_2_2(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "OPTIONS", ours, 5))
    await house.far.hears(200)
    await house.far.says(within(INVITE, "BYE", ours, 4))
    await house.far.hears(500)
    assert not leg.ended.done()


@pytest.mark.parametrize(
    ("method", "status", "allow"),
    [
        ("OPTIONS", 200, True), ("MESSAGE", 405, True), ("PRACK", 481, False),
        ("NOTIFY", 481, False), ("REFER", 603, False),
    ],
)  # fmt: skip
async def test_what_a_leg_answers_by_itself(house: House, method: str, status: int, allow: bool) -> None:
    _, ours = await house.called()
    await house.far.says(within(INVITE, method, ours, 2, headers=[("Refer-To", "<sip:x@y>")]))
    response = await house.far.hears(status)
    assert ("Allow" in response.headers) is allow
    if allow:
        assert "REFER" not in response.headers.get("Allow")


async def test_only_a_leg_that_takes_refer_says_so(house: House) -> None:
    _, invite = await house.connected(takes_refer=True)
    assert "REFER" in (invite.headers.get("Allow") or "")


async def test_a_require_nobody_knows_is_420_in_a_dialog_too(house: House) -> None:
    leg, ours = await house.called()
    await house.far.says(within(INVITE, "OPTIONS", ours, 2, headers=[("Require", "magic")]))
    assert (await house.far.hears(420)).headers.get("Unsupported") == "magic"
    assert not leg.ended.done()


async def test_the_peers_contact_is_followed_rfc3261_12_2(house: House) -> None:
    leg, ours = await house.called()
    moved = within(INVITE, "UPDATE", ours, 2).encode().replace(b"sip:alice@", b"sip:moved@")
    await house.far.says(moved)
    await house.far.hears(200)
    leg.end(EndReason.COMPLETED)
    assert (await house.far.hears("BYE")).uri == "sip:moved@192.0.2.1:5060"


@pytest.mark.parametrize("refused_for", ["Session-Expires", "offer"])
async def test_the_contact_of_a_reinvite_that_we_refuse_is_not_followed_rfc6141_4(
    house: House, refused_for: str
) -> None:
    leg, ours = await house.called()
    leg.media.refuses = 488
    timed = [("Supported", "timer"), ("Session-Expires", "30")] if refused_for != "offer" else []
    moved = within(INVITE, "INVITE", ours, 2, body=SDP, headers=timed)
    await house.far.says(moved.encode().replace(b"sip:alice@192.0.2.1:5060", b"sip:alice@192.0.2.9:5060"))
    await house.far.hears(422 if timed else 488)
    await house.far.says(within(INVITE, "ACK", ours, 2, branch="z9hG4bKinvite2"))
    leg.end(EndReason.COMPLETED)
    assert (await house.far.hears("BYE")).uri == "sip:alice@192.0.2.1:5060"


async def test_a_request_on_a_new_connection_gives_the_leg_a_way_back(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tcp")
    await far.start()
    invite = messages.invite(transport="TCP", contact="<sip:a@192.0.2.7:9;transport=tcp>")
    leg, ours = await house.called(invite, far)
    house.wire.cut(house.wire.flows()[0])
    await far.says(within(invite, "OPTIONS", ours, 2))
    await far.hears(200)
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_connection_lost_is_opened_anew_for_the_next_request(house: House) -> None:
    """OpenAI's Contact names no transport, for which RFC 3263 alone would choose UDP."""
    far = Far(house.wire, "192.0.2.7", "tls", names=("sip.api.openai.com",))
    await far.start()
    ok = {"contact": "<sip:OAI@sip.api.openai.com:5061>"}
    leg, _ = await house.connected(far, uri="sip:p@sip.api.openai.com:5061;transport=tls", ok=ok)
    house.wire.cut(house.wire.flows()[0])
    await asyncio.sleep(1)
    assert not leg.ended.done()
    leg.end(EndReason.COMPLETED)
    bye = await far.hears("BYE")
    assert (bye.via.transport, bye.uri) == ("TLS", "sip:OAI@sip.api.openai.com:5061")
    assert {carried.transport for carried in house.wire.trace} == {"tls"}
    far.answers(bye, 200)
    await house.assert_clean()


async def test_a_peer_that_cannot_be_reached_again_is_let_go(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, _ = await house.connected(far, uri="sip:p@192.0.2.7:5061;transport=tls",
                                   ok={"contact": "<sip:p@192.0.2.7:5061>"})  # fmt: skip
    house.wire.cut(house.wire.flows()[0])
    house.wire.silence("192.0.2.7")
    leg.end(EndReason.COMPLETED)
    await house.assert_clean()


async def test_a_leg_that_never_began_ends_quietly(house: House) -> None:
    leg = house.leg()
    leg.end(EndReason.COMPLETED)
    assert leg.ended.result() is EndReason.COMPLETED
    with pytest.raises(LegEnded):
        await leg.offer()
    await house.assert_clean()


async def test_a_leg_refused_says_so_with_its_reason(house: House) -> None:
    leg = await house.rung()
    leg.progress(180)
    leg.end(EndReason.DECLINED)
    refusal = await house.far.hears(603)
    assert "cause=21" in refusal.headers.get("Reason")
    await house.assert_clean()


async def test_a_refusal_is_resent_until_its_ack_rfc3261_17_2_1(house: House) -> None:
    leg = await house.rung()
    leg.end(EndReason.NOT_IN_SERVICE)
    await asyncio.sleep(2)
    await house.far.says(messages.ack(INVITE, to_tag="tag1", branch=INVITE.via.branch or ""))
    await asyncio.sleep(30)
    assert house.far.times(404) == [0, 0.5, 1.5]
    await house.assert_clean()


async def test_a_bye_to_a_leg_we_called_is_matched_by_its_tags(house: House) -> None:
    leg, invite = await house.connected()
    await house.far.says(back(invite, "BYE", tag="somebody-else"))
    await house.far.hears(481)
    assert not leg.ended.done()
    await house.far.says(back(invite, "BYE", 2))
    await house.far.hears(200)
    assert leg.ended.result() is EndReason.HUNG_UP
    await house.assert_clean()
