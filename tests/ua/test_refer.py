"""A REFER from the agent, and the NOTIFYs that report its progress (RFC 3515)."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from proxy.sip.message import Request
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.ua.user_agent import Peer, UserAgent, from_callee, from_caller, notified_status

TO = ("Refer-To", "<tel:+14155559876>")


async def connected_agent(ua: UserAgent) -> tuple[Leg, Request]:
    return await ua.connected_leg(takes_refer=True)


async def next_notify(ua: UserAgent, status: int = 200) -> Request:
    """Wait for the next NOTIFY, and answer it."""
    notify: Request = await ua.peer.hears("NOTIFY")
    ua.peer.answers(notify, status)
    return notify


async def test_an_accepted_refer_gets_202_and_notify_100_at_once_rfc3515_2_4_4(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    assert str(refer.target.uri) == "tel:+14155559876"
    refer.accept()
    accepted = await ua.peer.hears(202)
    assert accepted.contact is not None
    first = await next_notify(ua)
    assert (notified_status(first), first.headers.get("Event")) == (100, "refer")
    assert (first.headers.get("Subscription-State") or "").startswith("active;expires=")
    assert first.contact is not None
    refer.progress(180)
    refer.progress(200)
    assert notified_status(await next_notify(ua)) == 180
    last = await next_notify(ua)
    assert (notified_status(last), last.headers.get("Subscription-State")) == (
        200,
        "terminated;reason=noresource",
    )
    refer.progress(500)
    leg.end(EndReason.TRANSFERRED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert ua.peer.count("NOTIFY") == 3


@pytest.mark.parametrize("refer_sub", ["false", " False ;x=1"])
async def test_a_refer_with_refer_sub_false_gets_no_notify_rfc4488_4(ua: UserAgent, refer_sub: str) -> None:
    leg, invite = await connected_agent(ua)
    headers = [TO, ("Refer-Sub", refer_sub), ("Require", "norefersub")]
    await ua.peer.says(from_callee(invite, "REFER", headers=headers))
    refer = await leg.refer()
    refer.accept()
    assert (await ua.peer.hears(202)).headers.get("Refer-Sub") == "false"
    refer.progress(200)
    leg.end(EndReason.TRANSFERRED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert ua.peer.count("NOTIFY") == 0


@pytest.mark.parametrize("refer_sub", ["true", "never mind"])
async def test_a_refer_sub_other_than_false_gets_notifies_rfc4488_3(ua: UserAgent, refer_sub: str) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(
        from_callee(invite, "REFER", headers=[TO, ("Refer-Sub", refer_sub), ("Supported", "norefersub")])
    )
    (await leg.refer()).accept()
    assert "Refer-Sub" not in (await ua.peer.hears(202)).headers
    assert notified_status(await next_notify(ua)) == 100


async def test_a_second_refer_while_one_is_pending_gets_491(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=[TO]))
    await ua.peer.says(from_callee(invite, "REFER", 2, headers=[TO]))
    await ua.peer.hears(491)
    refer = await leg.refer()
    refer.accept()
    await next_notify(ua)
    await ua.peer.says(from_callee(invite, "REFER", 3, headers=[TO]))
    await ua.peer.hears(491)
    refer.progress(486)
    await next_notify(ua)
    await ua.peer.says(from_callee(invite, "REFER", 4, headers=[TO]))
    (await leg.refer()).accept()
    assert (await next_notify(ua)).headers.get("Event") == "refer;id=4"


async def test_a_refused_refer_has_no_subscription(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=[TO]))
    refer = await leg.refer()
    refer.refuse(403)
    refer.progress(200)
    await ua.peer.hears(403)
    await ua.peer.says(from_callee(invite, "REFER", 2, headers=[TO]))
    (await leg.refer()).accept()
    await ua.peer.hears(202)
    assert (await next_notify(ua)).headers.get("Event") == "refer;id=2"


async def test_a_refer_on_a_leg_that_accepts_none_gets_603_and_is_logged(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    with capture_logs() as logs:
        await ua.peer.says(from_caller(messages.invite(), "REFER", ours, 2, headers=[TO]))
        await ua.peer.hears(603)
    assert leg.refer_waiting() is None
    (line,) = logs  # explains the failure to whoever pressed "transfer"
    assert (line["event"], line["leg"]) == ("transfer refused", "caller")


@pytest.mark.parametrize("headers", [[], [TO, TO], [("Refer-To", "<nothing")]])
async def test_a_refer_without_exactly_one_valid_refer_to_gets_400_rfc3515_2_4_2(
    ua: UserAgent, headers: list[tuple[str, str]]
) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", headers=headers))
    await ua.peer.hears(400)
    assert leg.refer_waiting() is None
    await ua.peer.says(from_callee(invite, "REFER", 2, headers=[TO]))
    await leg.refer()


@pytest.mark.parametrize("status", [481, 405, 489])
async def test_a_refused_notify_ends_the_subscription_and_not_the_leg(ua: UserAgent, status: int) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    refer.accept()
    await next_notify(ua, status)
    await asyncio.sleep(1)
    assert not refer.open
    refer.progress(200)
    await ua.peer.hears_nothing(for_s=5)
    assert not leg.ended.done()


async def test_an_unanswered_notify_ends_the_subscription_and_not_the_leg(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", headers=[TO]))
    refer = await leg.refer()
    refer.accept()
    await asyncio.sleep(33)
    assert not refer.open
    assert not leg.ended.done()


async def test_a_refer_followed_by_bye_can_be_accepted_but_gets_no_notify(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=[TO]))
    await ua.peer.says(from_callee(invite, "BYE", 2))
    await ua.peer.hears(200)
    refer = leg.refer_waiting()
    assert refer is not None
    refer.accept()
    await ua.peer.hears(202)
    refer.progress(200)
    leg.end(EndReason.COMPLETED)
    await ua.assert_clean()
    assert ua.peer.count("NOTIFY") == 0


async def test_a_pending_refer_gets_481_when_the_leg_ends(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", headers=[TO]))
    await asyncio.sleep(1)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert ua.peer.count(481) == 1
    await ua.assert_clean()


async def test_cancelling_a_wait_for_a_refer_does_not_lose_the_refer(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    waiting = asyncio.ensure_future(leg.refer())
    await asyncio.sleep(0.1)
    await ua.peer.says(from_callee(invite, "REFER", headers=[TO]))
    await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await leg.refer()).open


async def test_a_refer_not_answered_by_us_gets_100_and_expires_after_64_t1_rfc4320_4_2(ua: UserAgent) -> None:
    leg, invite = await connected_agent(ua)
    await ua.peer.says(from_callee(invite, "REFER", 1, headers=[TO]))
    await asyncio.sleep(3.4)
    assert ua.peer.count(100) == 0
    await asyncio.sleep(28.5)
    assert leg.refer_waiting() is not None
    assert ua.peer.count(100) == 1
    await asyncio.sleep(0.2)
    assert leg.refer_waiting() is None
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert ua.peer.count(481) == 0


async def test_a_refer_survives_the_loss_of_its_connection(ua: UserAgent) -> None:
    peer = Peer(ua.wire, "192.0.2.7", "tls")
    await peer.start()
    leg, invite = await ua.connected_leg(peer, uri="sip:bob@192.0.2.7:5061;transport=tls", takes_refer=True)
    await peer.says(from_callee(invite, "REFER", 1, headers=[TO]))
    await asyncio.sleep(0.1)
    for flow in ua.wire.flows():
        ua.wire.cut(flow)
    (await leg.refer()).accept()
    peer.answers(await peer.hears("NOTIFY"), 200)
    leg.end(EndReason.COMPLETED)
    peer.answers(await peer.hears("BYE"), 200)
    await ua.assert_clean()
