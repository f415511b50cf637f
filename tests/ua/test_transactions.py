"""Transactions with their flow and user: CANCEL at the right time, nothing lost that came early."""

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
from tests.ua.house import FAR, House, rings


async def launched(house: House, method: str) -> ClientTransaction:
    flow = await house.network.connect(Target("udp", (FAR, 5060), FAR))
    lines = [("From", "<sip:us@x>;tag=1"), ("To", "<sip:bob@x>"), ("Call-ID", "c"), ("CSeq", f"1 {method}")]
    return house.core.launch(Request(method, f"sip:bob@{FAR}", Headers(lines)), flow, NullUser())


async def test_cancel_waits_for_a_provisional_and_is_without_effect_on_anything_but_an_invite(
    house: House,
) -> None:
    options = await launched(house, "OPTIONS")
    house.far.answers(await house.far.hears("OPTIONS"), 100, to_tag=None)
    await asyncio.sleep(0.1)
    options.cancel("SIP;cause=200")
    invite = await launched(house, "INVITE")
    invite.cancel("SIP;cause=200")
    received = await house.far.hears("INVITE")
    house.far.answers(received, 183)
    assert (await house.far.hears("CANCEL")).headers.get("Reason") == "SIP;cause=200"
    assert house.far.count("CANCEL") == 1


async def test_cancel_after_the_final_response_is_without_effect(house: House) -> None:
    invite = await launched(house, "INVITE")
    house.far.answers(await house.far.hears("INVITE"), 486)
    await house.far.hears("ACK")
    invite.cancel("SIP;cause=200")
    await house.assert_clean()
    assert house.far.count("CANCEL") == 0


async def test_a_request_nobody_hears_of_fails_quietly(house: House) -> None:
    await launched(house, "OPTIONS")
    await house.assert_clean()
    assert len(house.far.all("OPTIONS")) == 11


async def test_every_answer_but_100_carries_our_tag_rfc3261_8_2_6_2(house: House) -> None:
    await house.far.says(messages.invite())
    transaction = await house.invited()
    assert transaction.make(100).to_tag is None
    assert transaction.make(180).to_tag == transaction.make(486).to_tag == transaction.tag
    assert not transaction.answered
    transaction.reply(486)
    assert transaction.answered
    transaction.reply(200)
    await asyncio.sleep(0.1)
    assert house.far.count(200) == 0


async def test_a_cancel_and_a_lost_flow_before_anybody_watches_are_told(house: House) -> None:
    await house.far.says(messages.invite())
    await house.far.says(messages.cancel(messages.invite()))
    await house.far.hears(200)
    transaction = await house.invited()
    told: list[str] = []
    transaction.watch(lambda: told.append("cancelled"), lambda error: told.append("failed"))
    assert told == ["cancelled"]


async def test_a_bye_that_cannot_be_sent_now_is_sent_when_there_is_a_way_again(house: House) -> None:
    leg, _ = await house.connected()
    house.wire.unreachable.add(FAR)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(3)
    house.wire.unreachable.clear()
    bye = await house.far.hears("BYE", within_s=1)
    house.far.answers(bye, 200)
    await house.assert_clean()
    assert house.far.count("BYE") == 1


async def test_a_refresh_that_cannot_be_sent_now_ends_no_call(house: House) -> None:
    leg, _ = await house.connected()
    house.wire.unreachable.add(FAR)
    offering = asyncio.ensure_future(leg.offer())
    await asyncio.sleep(1)
    house.wire.unreachable.clear()
    house.far.answers(await house.far.hears("INVITE", within_s=1), 200)
    await offering
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_cancel_that_cannot_be_sent_now_is_sent_when_there_is_a_way_again(house: House) -> None:
    leg, task, invite = await house.calling()
    house.far.answers(invite, 180)
    await rings(leg)
    house.wire.unreachable.add(FAR)
    leg.end(EndReason.COMPLETED)
    await asyncio.sleep(3)
    house.wire.unreachable.clear()
    house.far.answers(await house.far.hears("CANCEL", within_s=1), 200)
    house.far.answers(invite, 487)
    with pytest.raises(LegEnded):
        await task
    await house.assert_clean()


async def test_an_answer_that_cannot_be_sent_now_is_sent_when_there_is_a_way_again(house: House) -> None:
    invite = messages.invite()
    leg = await house.rung(invite)
    house.wire.unreachable.add(FAR)
    answering = asyncio.ensure_future(leg.answer())
    await asyncio.sleep(3)
    house.wire.unreachable.clear()
    await house.far.hears(200, within_s=1)
    await house.far.says(messages.ack(invite, to_tag="tag1"))
    await answering
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_refusal_that_cannot_be_sent_now_is_sent_when_it_is_asked_for_again(house: House) -> None:
    house.wire.unreachable.add(FAR)
    bye = messages.bye(messages.invite(), to_tag="nobody")
    await house.far.says(bye)
    await asyncio.sleep(0.1)
    house.wire.unreachable.clear()
    await house.far.says(bye)
    await house.far.hears(481, within_s=1)
    await house.assert_clean()
