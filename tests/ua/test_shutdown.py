"""When the house closes, every peer is to hear that its call is over, though a message may be lost."""

from __future__ import annotations

import asyncio

from proxy.ua.errors import LegEnded
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.shutdown import PATIENCE_S, finish_signalling
from tests.kit import messages
from tests.ua.house import House
from tests.ua.test_in_dialog_client import INTERNAL, PROXY, secret


async def ends(house: House, leg: Leg) -> asyncio.Task[None]:
    """The house closes: this leg is ended, and what is still to be said is waited for."""
    leg.end(EndReason.DRAINING)
    return asyncio.ensure_future(closes(house))


async def closes(house: House) -> None:
    await finish_signalling(house.core)
    await house.core.close()


async def test_where_all_is_said_nothing_is_waited_for(house: House) -> None:
    before = house.now
    await finish_signalling(house.core)
    assert house.now == before


async def test_a_bye_that_is_lost_is_said_again_before_the_house_closes(house: House) -> None:
    leg, _ = await house.connected()
    before = house.now
    closing = await ends(house, leg)
    await house.far.hears("BYE")
    house.far.answers(await house.far.hears("BYE"), 200)
    await closing
    assert 0.5 <= house.now - before < 0.6


async def test_a_bye_that_is_challenged_gets_its_credentials_before_the_house_closes(house: House) -> None:
    leg, _ = await house.connected(credentials=secret())
    closing = await ends(house, leg)
    await asyncio.sleep(0.4)
    house.far.answers(await house.far.hears("BYE"), 407, headers=[PROXY])
    again = await house.far.hears("BYE")
    assert "Proxy-Authorization" in again.headers
    house.far.answers(again, 200)
    await closing


async def test_a_bye_whose_way_has_to_be_looked_up_is_sent_before_the_house_closes(house: House) -> None:
    leg, _ = await house.connected(ok={"contact": INTERNAL})
    closing = await ends(house, leg)
    house.far.answers(await house.far.hears("BYE"), 200)
    await closing


async def test_a_phone_that_has_not_said_that_it_rings_is_cancelled_before_the_house_closes(
    house: House,
) -> None:
    leg, calling, invite = await house.calling()
    closing = await ends(house, leg)
    await asyncio.sleep(1)
    house.far.answers(invite, 180)
    cancel = await house.far.hears("CANCEL")
    house.far.answers(cancel, 200)
    house.far.answers(invite, 487)
    await house.far.hears("ACK")
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_a_phone_that_answers_as_the_house_closes_is_hung_up(house: House) -> None:
    leg, calling, invite = await house.calling()
    house.far.answers(invite, 180)
    closing = await ends(house, leg)
    house.far.answers(await house.far.hears("CANCEL"), 200)
    house.far.answers(invite, 200)
    await house.far.hears("ACK")
    house.far.answers(await house.far.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(calling), LegEnded)


async def test_a_caller_that_has_yet_to_acknowledge_our_200_hears_our_bye_before_the_house_closes(
    house: House,
) -> None:
    leg = await house.rung()
    answering = asyncio.ensure_future(leg.answer())
    ok = await house.far.hears(200)
    closing = await ends(house, leg)
    await house.far.hears(200)
    await house.far.says(messages.ack(leg.invitation.request, to_tag=ok.to_tag))
    house.far.answers(await house.far.hears("BYE"), 200)
    await closing
    assert isinstance(await _failure(answering), LegEnded)


async def test_a_peer_that_says_nothing_more_is_not_waited_for_without_end(house: House) -> None:
    leg, _ = await house.connected()
    before = house.now
    await (await ends(house, leg))
    assert PATIENCE_S <= house.now - before < PATIENCE_S + 0.1
    assert house.far.count("BYE") == 4


async def _failure(task: asyncio.Task[None]) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()
