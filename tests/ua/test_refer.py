"""A REFER from the agent and the news it is owed (RFC 3515)."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.sip.message import Request
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.ua.house import Far, House, back, told, within

TO = ("Refer-To", "<tel:+14155559876>")


async def an_agent(house: House) -> tuple[Leg, Request]:
    return await house.connected(takes_refer=True)


async def news(house: House, status: int = 200) -> Request:
    """The next NOTIFY, answered."""
    notify: Request = await house.far.hears("NOTIFY")
    house.far.answers(notify, status)
    return notify


async def test_an_accepted_refer_gets_202_and_notify_100_at_once_rfc3515_2_4_4(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    assert str(refer.target.uri) == "tel:+14155559876"
    refer.accept()
    accepted = await house.far.hears(202)
    assert accepted.contact is not None
    first = await news(house)
    assert (told(first), first.headers.get("Event")) == (100, "refer")
    assert (first.headers.get("Subscription-State") or "").startswith("active;expires=")
    assert first.contact is not None
    refer.progress(180)
    refer.progress(200)
    assert told(await news(house)) == 180
    last = await news(house)
    assert (told(last), last.headers.get("Subscription-State")) == (200, "terminated;reason=noresource")
    refer.progress(500)
    leg.end(EndReason.TRANSFERRED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert house.far.count("NOTIFY") == 3


@pytest.mark.parametrize("wish", ["false", " False ;x=1"])
async def test_a_refer_that_wants_no_news_gets_none_rfc4488_4(house: House, wish: str) -> None:
    leg, invite = await an_agent(house)
    headers = [TO, ("Refer-Sub", wish), ("Require", "norefersub")]
    await house.far.says(back(invite, "REFER", headers=headers))
    refer = await leg.refer()
    refer.accept()
    assert (await house.far.hears(202)).headers.get("Refer-Sub") == "false"
    refer.progress(200)
    leg.end(EndReason.TRANSFERRED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert house.far.count("NOTIFY") == 0


@pytest.mark.parametrize("wish", ["true", "never mind"])
async def test_a_refer_sub_that_is_not_false_gets_news_rfc4488_3(house: House, wish: str) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(
        back(invite, "REFER", headers=[TO, ("Refer-Sub", wish), ("Supported", "norefersub")])
    )
    (await leg.refer()).accept()
    assert "Refer-Sub" not in (await house.far.hears(202)).headers
    assert told(await news(house)) == 100


async def test_a_second_refer_while_one_is_open_is_491(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", 1, headers=[TO]))
    await house.far.says(back(invite, "REFER", 2, headers=[TO]))
    await house.far.hears(491)
    refer = await leg.refer()
    refer.accept()
    await news(house)
    await house.far.says(back(invite, "REFER", 3, headers=[TO]))
    await house.far.hears(491)
    refer.progress(486)
    await news(house)
    await house.far.says(back(invite, "REFER", 4, headers=[TO]))
    (await leg.refer()).accept()
    assert (await news(house)).headers.get("Event") == "refer;id=4"


async def test_a_refused_refer_has_no_subscription(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", 1, headers=[TO]))
    refer = await leg.refer()
    refer.refuse(403)
    refer.progress(200)
    await house.far.hears(403)
    await house.far.says(back(invite, "REFER", 2, headers=[TO]))
    (await leg.refer()).accept()
    await house.far.hears(202)
    assert (await news(house)).headers.get("Event") == "refer;id=2"


async def test_refer_on_a_leg_that_takes_none_is_603(house: House) -> None:
    leg, ours = await house.called()
    with capture_logs() as logs:
        await house.far.says(within(messages.invite(), "REFER", ours, 2, headers=[TO]))
        await house.far.hears(603)
    assert leg.refer_waiting() is None
    (line,) = logs  # whoever pressed "transfer" on his phone wonders
    assert (line["event"], line["leg"]) == ("transfer refused", "caller")


@pytest.mark.parametrize("headers", [[], [TO, TO], [("Refer-To", "<nothing")]])
async def test_a_refer_that_names_no_one_place_is_400_rfc3515_2_4_2(
    house: House, headers: list[tuple[str, str]]
) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", headers=headers))
    await house.far.hears(400)
    assert leg.refer_waiting() is None
    await house.far.says(back(invite, "REFER", 2, headers=[TO]))
    await leg.refer()


@pytest.mark.parametrize("status", [481, 405, 489])
async def test_a_notify_refused_ends_the_subscription_quietly(house: House, status: int) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    refer.accept()
    await news(house, status)
    await asyncio.sleep(1)
    assert not refer.open
    refer.progress(200)
    await house.far.hears_nothing(for_s=5)
    assert not leg.ended.done()


async def test_a_notify_nobody_answers_ends_the_subscription(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    refer.accept()
    await asyncio.sleep(33)
    assert not refer.open
    assert not leg.ended.done()


async def test_a_refer_beats_the_bye_behind_it_and_hears_no_news_any_more(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", 1, headers=[TO]))
    await house.far.says(back(invite, "BYE", 2))
    await house.far.hears(200)
    refer = leg.refer_waiting()
    assert refer is not None
    refer.accept()
    await house.far.hears(202)
    refer.progress(200)
    leg.end(EndReason.COMPLETED)
    await house.assert_clean()
    assert house.far.count("NOTIFY") == 0


async def test_a_refer_nobody_came_for_is_refused_when_the_leg_is_let_go(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", headers=[TO]))
    await asyncio.sleep(1)
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    assert house.far.count(481) == 1
    await house.assert_clean()


async def test_a_wait_for_a_refer_that_is_cancelled_loses_none(house: House) -> None:
    leg, invite = await an_agent(house)
    waiting = asyncio.ensure_future(leg.refer())
    await asyncio.sleep(0.1)
    await house.far.says(back(invite, "REFER", headers=[TO]))
    await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await leg.refer()).open


async def test_a_refer_nobody_answers_hears_100_and_then_nothing_rfc4320_4_2(house: House) -> None:
    leg, invite = await an_agent(house)
    await house.far.says(back(invite, "REFER", 1, headers=[TO]))
    await asyncio.sleep(3.4)
    assert house.far.count(100) == 0
    await asyncio.sleep(28.5)
    assert leg.refer_waiting() is not None
    assert house.far.count(100) == 1
    await asyncio.sleep(0.2)
    assert leg.refer_waiting() is None
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert house.far.count(481) == 0


async def test_a_lost_connection_does_not_undo_the_wish_of_a_refer(house: House) -> None:
    far = Far(house.wire, "192.0.2.7", "tls")
    await far.start()
    leg, invite = await house.connected(far, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await far.says(back(invite, "REFER", 1, headers=[TO]))
    await asyncio.sleep(0.1)
    for flow in house.wire.flows():
        house.wire.cut(flow)
    (await leg.refer()).accept()
    far.answers(await far.hears("NOTIFY"), 200)
    leg.end(EndReason.COMPLETED)
    far.answers(await far.hears("BYE"), 200)
    await house.assert_clean()
