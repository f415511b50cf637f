"""Session timers on the wire (RFC 4028)."""

from __future__ import annotations

import asyncio

import pytest

from proxy.sip.message import Request, Response
from proxy.ua.errors import Rejected
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from tests.kit import messages
from tests.kit.messages import SDP
from tests.ua.house import FAR, House, back, within

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
    for at in (300.0, 389.3, 448.9, 488.6, 515.1, 532.7, 544.5, 552.3, 557.6, 562.6, 567.6):
        house.far.answers(await house.far.hears("INVITE", within_s=400), 500)
        assert house.now - began == pytest.approx(at, abs=0.1)
    bye = await house.far.hears("BYE", within_s=400)
    assert house.now - began == pytest.approx(568.0, abs=0.1)
    assert "cause=102" in bye.headers.get("Reason")
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


async def test_a_leg_that_has_not_begun_has_no_timer(house: House) -> None:
    keeper = house.leg().keeper
    keeper.answered(messages.ok(messages.invite()))
    assert (keeper.headers(), keeper.refreshed(messages.invite())) == ([], [])
    assert not keeper.raised(messages.response(messages.invite(), 422))


# Our own INVITE


async def test_our_invite_asks_for_a_timer_rfc4028_7_1(house: House) -> None:
    _, invite = await house.connected()
    assert invite.headers.get_all("Session-Expires") == ["1800"]
    assert invite.headers.get_all("Min-SE") == ["90"]
    assert invite.headers.get_all("Supported") == ["timer, norefersub"]
    assert "Require" not in invite.headers


async def test_a_422_is_followed_by_the_same_invite_that_asks_for_more_rfc4028_7_3(house: House) -> None:
    leg, task, first = await house.calling()
    house.far.answers(first, 422, headers=[("Min-SE", "3600")])
    await house.far.hears("ACK")
    second = await house.far.hears("INVITE")
    assert (second.call_id, second.from_tag, second.cseq.number) == (first.call_id, first.from_tag, 2)
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("3600", "3600")
    assert second.body == first.body
    house.far.answers(second, 200, headers=[("Session-Expires", "3600;refresher=uac")])
    await task
    began = house.now
    refresh = await house.far.hears("INVITE", within_s=2000)
    assert house.now - began == pytest.approx(1800.0, abs=0.1)
    assert refresh.headers.get("Session-Expires") == "3600;refresher=uac"
    house.far.answers(refresh, 200, headers=[("Session-Expires", "3600;refresher=uac")])
    await house.far.hears("ACK")
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()


@pytest.mark.parametrize("least", ["1800", "90", "soon"])
async def test_a_422_that_asks_for_no_more_ends_the_try(house: House, least: str) -> None:
    _, task, invite = await house.calling()
    house.far.answers(invite, 422, headers=[("Min-SE", least)])
    with pytest.raises(Rejected, match="422"):
        await task
    await house.assert_clean()
    assert house.far.count("INVITE") == 1


# How a refresh of ours goes


async def refreshed_by_us(house: House, *headers: tuple[str, str]) -> tuple[Leg, Request]:
    """A leg whose refreshes are ours, every five minutes; its INVITE."""
    leg, invite = await house.connected(ok={"headers": [("Session-Expires", "600;refresher=uac"), *headers]})
    return leg, invite


ALLOWS = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")
AGREED = [("Session-Expires", "600;refresher=uac")]


async def test_a_peer_that_takes_update_is_refreshed_by_it_without_an_offer_rfc4028_7_4(house: House) -> None:
    leg, _ = await refreshed_by_us(house, ALLOWS)
    began = house.now
    for round_ in (1, 2):
        update = await house.far.hears("UPDATE", within_s=400)
        assert house.now - began == pytest.approx(300.0 * round_, abs=0.1)
        assert (update.body, update.content_type, update.cseq.number) == (b"", None, round_ + 1)
        assert update.headers.get_all("Session-Expires") == ["600;refresher=uac"]
        assert update.headers.get_all("Min-SE") == ["90"]
        assert update.headers.get_all("Supported") == ["timer, norefersub"]
        assert update.headers.get("Contact")
        house.far.answers(update, 200, headers=AGREED, contact=f"<sip:bob{round_}@{FAR}:5060>")
    await asyncio.sleep(1)
    assert leg.media.told == [("offer", b""), ("answered", SDP)]
    leg.end(EndReason.COMPLETED)
    bye = await house.far.hears("BYE")
    assert bye.uri == f"sip:bob2@{FAR}:5060"  # RFC 3311 §5.1: its 2xx is a target refresh
    house.far.answers(bye, 200)
    await house.assert_clean()


@pytest.mark.parametrize("status", [405, 501])
async def test_an_update_refused_for_good_is_followed_by_a_reinvite_at_once(
    house: House, status: int
) -> None:
    leg, _ = await refreshed_by_us(house, ALLOWS)
    house.far.answers(await house.far.hears("UPDATE", within_s=400), status)
    refused_at = house.now
    refresh = await house.far.hears("INVITE", within_s=5)
    assert house.now - refused_at == pytest.approx(0.002, abs=0.001)
    house.far.answers(refresh, 200, headers=AGREED)
    await house.far.hears("ACK")
    await house.far.hears("INVITE", within_s=400)
    assert house.far.count("UPDATE") == 1
    assert not leg.ended.done()


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [(491, [], 3.05), (500, [("Retry-After", "7 (soon)")], 7.0), (503, [("Retry-After", "x")], 89.3)],
)
async def test_an_update_refused_for_now_is_tried_again_rfc3311_5_3(
    house: House, status: int, headers: list[tuple[str, str]], wait_s: float
) -> None:
    leg, _ = await refreshed_by_us(house, ALLOWS)
    house.far.answers(await house.far.hears("UPDATE", within_s=400), status, headers=headers)
    refused_at = house.now
    again = await house.far.hears("UPDATE", within_s=100)
    assert house.now - refused_at == pytest.approx(wait_s, abs=0.05)
    house.far.answers(again, 200, headers=AGREED)
    await house.far.hears("UPDATE", within_s=301)
    assert not leg.ended.done()


async def test_a_422_to_a_refresh_is_followed_by_a_longer_one_rfc4028_7_4(house: House) -> None:
    await refreshed_by_us(house, ALLOWS)
    house.far.answers(await house.far.hears("UPDATE", within_s=400), 422, headers=[("Min-SE", "1000")])
    again = await house.far.hears("UPDATE", within_s=1)
    assert again.headers.get("Session-Expires") == "1000;refresher=uac"
    house.far.answers(again, 200, headers=[("Session-Expires", "1000;refresher=uac")])
    agreed_at = house.now
    await house.far.hears("UPDATE", within_s=600)
    assert house.now - agreed_at == pytest.approx(500.0, abs=0.1)


async def test_a_422_to_any_reinvite_is_followed_by_one_with_a_longer_interval_rfc4028_7_3(
    house: House,
) -> None:
    leg, _ = await refreshed_by_us(house)
    offering = asyncio.ensure_future(leg.offer())
    house.far.answers(await house.far.hears("INVITE"), 422, headers=[("Min-SE", "1000")])
    again = await house.far.hears("INVITE", within_s=1)
    assert (again.headers.get("Session-Expires"), again.body) == ("1000;refresher=uac", SDP)
    house.far.answers(again, 422, headers=[("Min-SE", "1000")])
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


@pytest.mark.parametrize("status", [408, 481])
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_a_408_or_481_to_a_refresh_ends_the_leg_rfc4028_10(
    house: House, method: str, status: int
) -> None:
    leg, _ = await refreshed_by_us(house, *([ALLOWS] if method == "UPDATE" else []))
    house.far.answers(await house.far.hears(method, within_s=400), status)
    bye = await house.far.hears("BYE", within_s=1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    house.far.answers(bye, 481)
    await house.assert_clean()


async def test_an_update_that_is_never_answered_ends_the_leg_rfc4028_10(house: House) -> None:
    leg, _ = await refreshed_by_us(house, ALLOWS)
    began = house.now
    house.far.answers(await house.far.hears("BYE", within_s=400), 200)
    assert house.now - began == pytest.approx(332.0, abs=0.1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await house.assert_clean()


async def test_an_update_that_crosses_our_bye_changes_nothing(house: House) -> None:
    leg, _ = await refreshed_by_us(house, ALLOWS)
    update = await house.far.hears("UPDATE", within_s=400)
    leg.end(EndReason.COMPLETED)
    house.far.answers(update, 481)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
    assert leg.ended.result() is EndReason.COMPLETED


async def test_a_peer_without_timer_that_takes_update_is_asked_whether_it_is_there(house: House) -> None:
    """RFC 4028 §4: a timer is of use though only one end knows it."""
    leg, _ = await house.connected(ok={"headers": [ALLOWS]})
    began = house.now
    for at, status in ((900.0, 500), (1800.0, 200)):
        house.far.answers(await house.far.hears("UPDATE", within_s=1000), status)
        assert house.now - began == pytest.approx(at, abs=0.1)
    house.far.answers(await house.far.hears("UPDATE", within_s=1000), 481)
    house.far.answers(await house.far.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.UNREACHABLE


async def test_a_caller_without_timer_that_takes_update_is_asked_too(house: House) -> None:
    invite = messages.invite(headers=[ALLOWS])
    leg, ours = await house.called(invite)
    assert ours.headers.get("Session-Expires") == "1800;refresher=uas"
    assert "Require" not in ours.headers
    house.far.answers(await house.far.hears("UPDATE", within_s=1000), 501)
    await asyncio.sleep(4000)
    assert house.far.count("UPDATE") == 1
    assert not leg.ended.done()


async def test_an_update_before_our_answer_leaves_the_timer_to_it(house: House) -> None:
    invite = asking("600;refresher=uac")
    leg = await house.rung(invite)
    leg.progress(180)
    ringing = await house.far.hears(180)
    await house.far.says(within(invite, "UPDATE", ringing, 2, headers=[TIMER, ("Session-Expires", "120")]))
    assert "Session-Expires" not in (await house.far.hears(200)).headers
    await asyncio.sleep(500)
    assert not leg.ended.done()


async def test_a_refresh_refused_with_retry_after_zero_is_not_sent_again_at_once_rfc3261_20_33(
    house: House,
) -> None:
    leg, _, _, began = await called(house, "600;refresher=uas")
    for _ in range(3):
        house.far.answers(await house.far.hears("INVITE", within_s=400), 500, headers=[("Retry-After", "0")])
        await house.far.hears("ACK")
    assert house.now - began == pytest.approx(310.0, abs=0.1)
    leg.end(EndReason.COMPLETED)
    house.far.answers(await house.far.hears("BYE"), 200)
    await house.assert_clean()
