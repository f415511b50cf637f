"""Session timers on the wire (RFC 4028)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.message import Request, Response
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.house import House, back, within

TIMER = ("Supported", "timer")


def asking(interval: str) -> Request:
    return messages.invite(headers=[TIMER, ("Session-Expires", interval)])


async def called(house: House, interval: str) -> tuple[Leg, Response, Request, float]:
    invite = asking(interval)
    leg, ours = await house.called(invite)
    return leg, ours, invite, house.now


async def test_a_session_the_peer_never_refreshes_ends_32_s_before_its_interval_rfc4028_10(
    house: House,
) -> None:
    leg, ours, _, began = await called(house, "600;refresher=uac")
    assert ours.headers.get("Session-Expires") == "600;refresher=uac"
    assert ours.headers.get("Require") == "timer"
    bye = await house.far.hears("BYE", within_s=700)
    assert house.now - began == pytest.approx(568.0, abs=0.01)
    assert leg.ended.result() is EndReason.SESSION_EXPIRED
    house.far.answers(bye, 200)
    await house.assert_clean()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_refresh_by_the_peer_keeps_the_session(house: House, method: str) -> None:
    leg, ours, invite, _ = await called(house, "600;refresher=uac")
    await asyncio.sleep(300)
    refresh = within(
        invite, method, ours, 2, headers=[TIMER, ("Session-Expires", "600;refresher=uac")],
        body=SDP if method == "INVITE" else b"",
    )  # fmt: skip
    await house.far.says(refresh)
    response = await house.far.hears(200)
    assert response.headers.get("Session-Expires") == "600;refresher=uac"
    await house.far.says(within(invite, "ACK", ours, 2))
    refreshed_at = house.now
    await asyncio.sleep(567)
    assert not leg.ended.done()
    house.far.answers(await house.far.hears("BYE"), 200)
    assert house.now - refreshed_at == pytest.approx(568.0, abs=0.01)
    await house.assert_clean()


async def test_a_reinvite_that_is_refused_refreshes_nothing(house: House) -> None:
    leg, ours, invite, began = await called(house, "600;refresher=uac")
    await asyncio.sleep(300)
    leg.media.refuses = 488
    await house.far.says(within(invite, "INVITE", ours, 2, body=SDP))
    await house.far.hears(488)
    await house.far.hears("BYE", within_s=400)
    assert house.now - began == pytest.approx(568.0, abs=0.01)


async def test_a_refresh_too_small_is_422_and_refreshes_nothing_rfc4028_9(house: House) -> None:
    _, ours, invite, began = await called(house, "600;refresher=uac")
    await asyncio.sleep(300)
    await house.far.says(within(invite, "UPDATE", ours, 2, headers=[TIMER, ("Session-Expires", "30")]))
    assert (await house.far.hears(422)).headers.get("Min-SE") == "90"
    await house.far.says(within(invite, "UPDATE", ours, 3, headers=[("Session-Expires", "soon")]))
    await house.far.hears(400)
    await house.far.hears("BYE", within_s=400)
    assert house.now - began == pytest.approx(568.0, abs=0.01)


async def test_we_refresh_at_half_the_interval_when_it_is_ours_to_do_rfc4028_7_4(house: House) -> None:
    leg, ours, _, began = await called(house, "600;refresher=uas")
    assert ours.headers.get("Session-Expires") == "600;refresher=uas"
    for round_ in (1, 2):
        refresh = await house.far.hears("INVITE", within_s=400)
        assert house.now - began == pytest.approx(300.0 * round_, abs=0.1)
        assert refresh.headers.get("Session-Expires") == "600;refresher=uac"
        assert refresh.headers.get("Min-SE") == "90"
        house.far.answers(refresh, 200, headers=[("Session-Expires", "600;refresher=uac")])
        await house.far.hears("ACK")
        assert leg.media.told[-2:] == [("again", b""), ("answered", SDP)]
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_refresh_of_ours_that_is_refused_ends_the_session_in_time_rfc4028_10(house: House) -> None:
    leg, _, _, began = await called(house, "600;refresher=uas")
    refresh = await house.far.hears("INVITE", within_s=400)
    house.far.answers(refresh, 500)
    bye = await house.far.hears("BYE", within_s=400)
    assert house.now - began == pytest.approx(568.0, abs=0.1)
    assert leg.ended.result() is EndReason.SESSION_EXPIRED
    house.far.answers(bye, 200)
    await house.assert_clean()


async def test_a_refresh_the_peer_never_finishes_does_not_outlive_the_session(house: House) -> None:
    _, _, _, began = await called(house, "600;refresher=uas")
    refresh = await house.far.hears("INVITE", within_s=400)
    house.far.answers(refresh, 100, to_tag=None)
    bye = await house.far.hears("BYE", within_s=400)
    assert house.now - began == pytest.approx(568.0, abs=0.1)
    house.far.answers(bye, 200)
    house.far.answers(await house.far.hears("CANCEL"), 200)
    await house.assert_clean()


async def test_an_invite_without_a_timer_has_none(house: House) -> None:
    leg, ours = await house.called()
    assert "Session-Expires" not in ours.headers
    await asyncio.sleep(4000)
    assert not leg.ended.done()


async def test_a_timer_that_the_called_peer_asks_for_is_kept_rfc4028_7_2(house: House) -> None:
    """We ask for none, but say that we know them: a trunk may then want one, and hang up without it."""
    ok = {"headers": [("Session-Expires", "1800;refresher=uac"), ("Require", "timer")]}
    leg, _ = await house.connected(ok=ok)
    began = house.now
    refresh = await house.far.hears("INVITE", within_s=1000)
    assert house.now - began == pytest.approx(900.0, abs=0.1)
    assert refresh.headers.get("Session-Expires") == "1800;refresher=uac"
    house.far.answers(refresh, 200, headers=[("Session-Expires", "1800;refresher=uac")])
    await house.far.hears("ACK")
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


async def test_a_called_peer_that_refreshes_is_answered_and_missed(house: House) -> None:
    ok = {"headers": [("Session-Expires", "600;refresher=uas")]}
    leg, invite = await house.connected(ok=ok)
    await asyncio.sleep(300)
    asks = [TIMER, ("Session-Expires", "600;refresher=uac")]
    await house.far.says(back(invite, "UPDATE", headers=asks))
    assert (await house.far.hears(200)).headers.get("Session-Expires") == "600;refresher=uac"
    refreshed_at = house.now
    await house.far.hears("BYE", within_s=600)
    assert house.now - refreshed_at == pytest.approx(568.0, abs=0.01)
    assert leg.ended.result() is EndReason.SESSION_EXPIRED


async def test_a_session_expires_in_a_2xx_that_cannot_be_read_costs_no_call(house: House) -> None:
    leg, _ = await house.connected(ok={"headers": [("Session-Expires", "soon")]})
    await asyncio.sleep(4000)
    assert not leg.ended.done()


async def test_a_leg_without_a_timer_takes_a_response_without_one(house: House) -> None:
    leg = await house.rung()
    leg.keeper.answered(messages.ok(messages.invite()))
    assert leg.keeper.headers() == []
    assert leg.keeper.refreshed(messages.invite()) == []
