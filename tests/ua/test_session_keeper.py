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
from tests.ua.user_agent import PEER, UserAgent, from_callee, from_caller

TIMER = ("Supported", "timer")


def invite_with_interval(interval: str) -> Request:
    """An INVITE that asks for this Session-Expires."""
    return messages.invite(headers=[TIMER, ("Session-Expires", interval)])


async def answered_with_timer(ua: UserAgent, interval: str) -> tuple[Leg, Response, Request, float]:
    """An answered leg with a session timer; our 200, the INVITE, and when it was answered."""
    invite = invite_with_interval(interval)
    leg, ours = await ua.answered_leg(invite)
    return leg, ours, invite, ua.now


async def test_without_a_refresh_the_session_ends_32_s_before_its_interval_rfc4028_10(
    ua: UserAgent,
) -> None:
    leg, ours, _, began = await answered_with_timer(ua, "600;refresher=uac")
    assert ours.headers.get("Session-Expires") == "600;refresher=uac"
    assert ours.headers.get("Require") == "timer"
    bye = await ua.peer.hears("BYE", within_s=700)
    assert ua.now - began == pytest.approx(568.0, abs=0.01)
    assert leg.ended.result() is EndReason.SESSION_EXPIRED
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_refresh_by_the_peer_restarts_the_session_interval(ua: UserAgent, method: str) -> None:
    leg, ours, invite, _ = await answered_with_timer(ua, "600;refresher=uac")
    await asyncio.sleep(300)
    refresh = from_caller(
        invite, method, ours, 2, headers=[TIMER, ("Session-Expires", "600;refresher=uac")],
        body=SDP if method == "INVITE" else b"",
    )  # fmt: skip
    await ua.peer.says(refresh)
    response = await ua.peer.hears(200)
    assert response.headers.get("Session-Expires") == "600;refresher=uac"
    await ua.peer.says(from_caller(invite, "ACK", ours, 2))
    refreshed_at = ua.now
    await asyncio.sleep(567)
    assert not leg.ended.done()
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert ua.now - refreshed_at == pytest.approx(568.0, abs=0.01)
    await ua.assert_clean()


async def test_a_refused_reinvite_does_not_refresh_the_session(ua: UserAgent) -> None:
    leg, ours, invite, began = await answered_with_timer(ua, "600;refresher=uac")
    await asyncio.sleep(300)
    leg.media.refuses = 488
    await ua.peer.says(from_caller(invite, "INVITE", ours, 2, body=SDP))
    await ua.peer.hears(488)
    await ua.peer.hears("BYE", within_s=400)
    assert ua.now - began == pytest.approx(568.0, abs=0.01)


async def test_a_refresh_with_too_small_an_interval_gets_422_and_does_not_refresh_rfc4028_9(
    ua: UserAgent,
) -> None:
    _, ours, invite, began = await answered_with_timer(ua, "600;refresher=uac")
    await asyncio.sleep(300)
    await ua.peer.says(from_caller(invite, "UPDATE", ours, 2, headers=[TIMER, ("Session-Expires", "30")]))
    assert (await ua.peer.hears(422)).headers.get("Min-SE") == "90"
    await ua.peer.says(from_caller(invite, "UPDATE", ours, 3, headers=[("Session-Expires", "soon")]))
    await ua.peer.hears(400)
    await ua.peer.hears("BYE", within_s=400)
    assert ua.now - began == pytest.approx(568.0, abs=0.01)


async def test_as_refresher_we_refresh_at_half_the_interval_rfc4028_7_4(ua: UserAgent) -> None:
    leg, ours, _, began = await answered_with_timer(ua, "600;refresher=uas")
    assert ours.headers.get("Session-Expires") == "600;refresher=uas"
    for round_ in (1, 2):
        refresh = await ua.peer.hears("INVITE", within_s=400)
        assert ua.now - began == pytest.approx(300.0 * round_, abs=0.1)
        assert refresh.headers.get("Session-Expires") == "600;refresher=uac"
        assert refresh.headers.get("Min-SE") == "90"
        ua.peer.answers(refresh, 200, headers=[("Session-Expires", "600;refresher=uac")])
        await ua.peer.hears("ACK")
        assert leg.media.calls[-2:] == [("repeat_sdp", b""), ("answered", SDP)]
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_our_refused_refresh_is_retried_until_the_session_expires_rfc4028_10(ua: UserAgent) -> None:
    leg, _, _, began = await answered_with_timer(ua, "600;refresher=uas")
    for at in (300.0, 389.3, 448.9, 488.6, 515.1, 532.7, 544.5, 552.3, 557.6, 562.6, 567.6):
        ua.peer.answers(await ua.peer.hears("INVITE", within_s=400), 500)
        assert ua.now - began == pytest.approx(at, abs=0.1)
    bye = await ua.peer.hears("BYE", within_s=400)
    assert ua.now - began == pytest.approx(568.0, abs=0.1)
    assert "cause=102" in bye.headers.get("Reason")
    assert leg.ended.result() is EndReason.SESSION_EXPIRED
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


async def test_our_refresh_without_final_response_is_cancelled_when_the_session_expires(
    ua: UserAgent,
) -> None:
    _, _, _, began = await answered_with_timer(ua, "600;refresher=uas")
    refresh = await ua.peer.hears("INVITE", within_s=400)
    ua.peer.answers(refresh, 100, to_tag=None)
    bye = await ua.peer.hears("BYE", within_s=400)
    assert ua.now - began == pytest.approx(568.0, abs=0.1)
    ua.peer.answers(bye, 200)
    ua.peer.answers(await ua.peer.hears("CANCEL"), 200)
    await ua.assert_clean()


async def test_an_invite_without_session_timer_gets_none(ua: UserAgent) -> None:
    leg, ours = await ua.answered_leg()
    assert "Session-Expires" not in ours.headers
    await asyncio.sleep(4000)
    assert not leg.ended.done()


async def test_a_timer_requested_in_the_2xx_of_the_called_peer_is_refreshed_by_us_rfc4028_7_2(
    ua: UserAgent,
) -> None:
    """We request none but announce support: a trunk may then ask for one, and hang up if not refreshed."""
    ok = {"headers": [("Session-Expires", "1800;refresher=uac"), ("Require", "timer")]}
    leg, _ = await ua.connected_leg(ok=ok)
    began = ua.now
    refresh = await ua.peer.hears("INVITE", within_s=1000)
    assert ua.now - began == pytest.approx(900.0, abs=0.1)
    assert refresh.headers.get("Session-Expires") == "1800;refresher=uac"
    ua.peer.answers(refresh, 200, headers=[("Session-Expires", "1800;refresher=uac")])
    await ua.peer.hears("ACK")
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


async def test_a_called_peer_that_stops_refreshing_ends_the_session(ua: UserAgent) -> None:
    ok = {"headers": [("Session-Expires", "600;refresher=uas")]}
    leg, invite = await ua.connected_leg(ok=ok)
    await asyncio.sleep(300)
    asks = [TIMER, ("Session-Expires", "600;refresher=uac")]
    await ua.peer.says(from_callee(invite, "UPDATE", headers=asks))
    assert (await ua.peer.hears(200)).headers.get("Session-Expires") == "600;refresher=uac"
    refreshed_at = ua.now
    await ua.peer.hears("BYE", within_s=600)
    assert ua.now - refreshed_at == pytest.approx(568.0, abs=0.01)
    assert leg.ended.result() is EndReason.SESSION_EXPIRED


async def test_a_malformed_session_expires_in_a_2xx_is_ignored(ua: UserAgent) -> None:
    leg, _ = await ua.connected_leg(ok={"headers": [("Session-Expires", "soon")]})
    await asyncio.sleep(4000)
    assert not leg.ended.done()


async def test_a_leg_that_has_not_begun_has_no_session_timer(ua: UserAgent) -> None:
    keeper = ua.leg().keeper
    keeper.answered(messages.ok(messages.invite()))
    assert (keeper.headers(), keeper.refreshed(messages.invite())) == ([], [])
    assert not keeper.accepts_interval(messages.response(messages.invite(), 422))


# Our own INVITE


async def test_our_invite_requests_a_session_timer_rfc4028_7_1(ua: UserAgent) -> None:
    _, invite = await ua.connected_leg()
    assert invite.headers.get_all("Session-Expires") == ["1800"]
    assert invite.headers.get_all("Min-SE") == ["90"]
    assert invite.headers.get_all("Supported") == ["timer, norefersub"]
    assert "Require" not in invite.headers


async def test_a_422_is_followed_by_an_invite_with_its_min_se_rfc4028_7_3(ua: UserAgent) -> None:
    leg, task, first = await ua.start_call()
    ua.peer.answers(first, 422, headers=[("Min-SE", "3600")])
    await ua.peer.hears("ACK")
    second = await ua.peer.hears("INVITE")
    assert (second.call_id, second.from_tag, second.cseq.number) == (first.call_id, first.from_tag, 2)
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("3600", "3600")
    assert second.body == first.body
    ua.peer.answers(second, 200, headers=[("Session-Expires", "3600;refresher=uac")])
    await task
    began = ua.now
    refresh = await ua.peer.hears("INVITE", within_s=2000)
    assert ua.now - began == pytest.approx(1800.0, abs=0.1)
    assert refresh.headers.get("Session-Expires") == "3600;refresher=uac"
    ua.peer.answers(refresh, 200, headers=[("Session-Expires", "3600;refresher=uac")])
    await ua.peer.hears("ACK")
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()


@pytest.mark.parametrize("least", ["1800", "90", "soon"])
async def test_a_422_without_a_higher_min_se_raises_rejected(ua: UserAgent, least: str) -> None:
    _, task, invite = await ua.start_call()
    ua.peer.answers(invite, 422, headers=[("Min-SE", least)])
    with pytest.raises(Rejected, match="422"):
        await task
    await ua.assert_clean()
    assert ua.peer.count("INVITE") == 1


# Our refreshes


async def refreshed_by_us(ua: UserAgent, *headers: tuple[str, str]) -> tuple[Leg, Request]:
    """A leg that we refresh every five minutes, and its INVITE."""
    leg, invite = await ua.connected_leg(ok={"headers": [("Session-Expires", "600;refresher=uac"), *headers]})
    return leg, invite


ALLOWS = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")
AGREED = [("Session-Expires", "600;refresher=uac")]


async def test_a_peer_that_allows_update_is_refreshed_by_update_without_an_offer_rfc4028_7_4(
    ua: UserAgent,
) -> None:
    leg, _ = await refreshed_by_us(ua, ALLOWS)
    began = ua.now
    for round_ in (1, 2):
        update = await ua.peer.hears("UPDATE", within_s=400)
        assert ua.now - began == pytest.approx(300.0 * round_, abs=0.1)
        assert (update.body, update.content_type, update.cseq.number) == (b"", None, round_ + 1)
        assert update.headers.get_all("Session-Expires") == ["600;refresher=uac"]
        assert update.headers.get_all("Min-SE") == ["90"]
        assert update.headers.get_all("Supported") == ["timer, norefersub"]
        assert update.headers.get("Contact")
        ua.peer.answers(update, 200, headers=AGREED, contact=f"<sip:bob{round_}@{PEER}:5060>")
    await asyncio.sleep(1)
    assert leg.media.calls == [("offer", b""), ("answered", SDP)]
    leg.end(EndReason.COMPLETED)
    bye = await ua.peer.hears("BYE")
    assert bye.uri == f"sip:bob2@{PEER}:5060"  # RFC 3311 §5.1: its 2xx is a target refresh
    ua.peer.answers(bye, 200)
    await ua.assert_clean()


@pytest.mark.parametrize("status", [405, 501])
async def test_a_405_or_501_to_our_update_is_followed_by_a_reinvite_at_once(
    ua: UserAgent, status: int
) -> None:
    leg, _ = await refreshed_by_us(ua, ALLOWS)
    ua.peer.answers(await ua.peer.hears("UPDATE", within_s=400), status)
    refused_at = ua.now
    refresh = await ua.peer.hears("INVITE", within_s=5)
    assert ua.now - refused_at == pytest.approx(0.002, abs=0.001)
    ua.peer.answers(refresh, 200, headers=AGREED)
    await ua.peer.hears("ACK")
    await ua.peer.hears("INVITE", within_s=400)
    assert ua.peer.count("UPDATE") == 1
    assert not leg.ended.done()


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [(491, [], 3.05), (500, [("Retry-After", "7 (soon)")], 7.0), (503, [("Retry-After", "x")], 89.3)],
)
async def test_a_temporarily_refused_update_is_retried_rfc3311_5_3(
    ua: UserAgent, status: int, headers: list[tuple[str, str]], wait_s: float
) -> None:
    leg, _ = await refreshed_by_us(ua, ALLOWS)
    ua.peer.answers(await ua.peer.hears("UPDATE", within_s=400), status, headers=headers)
    refused_at = ua.now
    again = await ua.peer.hears("UPDATE", within_s=100)
    assert ua.now - refused_at == pytest.approx(wait_s, abs=0.05)
    ua.peer.answers(again, 200, headers=AGREED)
    await ua.peer.hears("UPDATE", within_s=301)
    assert not leg.ended.done()


async def test_a_422_to_our_refresh_is_followed_by_one_with_its_min_se_rfc4028_7_4(ua: UserAgent) -> None:
    await refreshed_by_us(ua, ALLOWS)
    ua.peer.answers(await ua.peer.hears("UPDATE", within_s=400), 422, headers=[("Min-SE", "1000")])
    again = await ua.peer.hears("UPDATE", within_s=1)
    assert again.headers.get("Session-Expires") == "1000;refresher=uac"
    ua.peer.answers(again, 200, headers=[("Session-Expires", "1000;refresher=uac")])
    agreed_at = ua.now
    await ua.peer.hears("UPDATE", within_s=600)
    assert ua.now - agreed_at == pytest.approx(500.0, abs=0.1)


async def test_a_422_to_our_reinvite_is_followed_once_by_one_with_its_min_se_rfc4028_7_3(
    ua: UserAgent,
) -> None:
    leg, _ = await refreshed_by_us(ua)
    offering = asyncio.ensure_future(leg.offer())
    ua.peer.answers(await ua.peer.hears("INVITE"), 422, headers=[("Min-SE", "1000")])
    again = await ua.peer.hears("INVITE", within_s=1)
    assert (again.headers.get("Session-Expires"), again.body) == ("1000;refresher=uac", SDP)
    ua.peer.answers(again, 422, headers=[("Min-SE", "1000")])
    with pytest.raises(Rejected):
        await offering
    assert not leg.ended.done()


@pytest.mark.parametrize("status", [408, 481])
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
async def test_a_408_or_481_to_a_refresh_ends_the_leg_rfc4028_10(
    ua: UserAgent, method: str, status: int
) -> None:
    leg, _ = await refreshed_by_us(ua, *([ALLOWS] if method == "UPDATE" else []))
    ua.peer.answers(await ua.peer.hears(method, within_s=400), status)
    bye = await ua.peer.hears("BYE", within_s=1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    ua.peer.answers(bye, 481)
    await ua.assert_clean()


async def test_an_unanswered_update_ends_the_leg_rfc4028_10(ua: UserAgent) -> None:
    leg, _ = await refreshed_by_us(ua, ALLOWS)
    began = ua.now
    ua.peer.answers(await ua.peer.hears("BYE", within_s=400), 200)
    assert ua.now - began == pytest.approx(332.0, abs=0.1)
    assert leg.ended.result() is EndReason.UNREACHABLE
    await ua.assert_clean()


async def test_a_481_to_an_update_that_crosses_our_bye_keeps_the_end_reason(ua: UserAgent) -> None:
    leg, _ = await refreshed_by_us(ua, ALLOWS)
    update = await ua.peer.hears("UPDATE", within_s=400)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(update, 481)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
    assert leg.ended.result() is EndReason.COMPLETED


async def test_a_called_peer_without_timer_support_is_probed_by_update_every_15_minutes(
    ua: UserAgent,
) -> None:
    """RFC 4028 §4: a session timer is useful even if only one end supports it."""
    leg, _ = await ua.connected_leg(ok={"headers": [ALLOWS]})
    began = ua.now
    for at, status in ((900.0, 500), (1800.0, 200)):
        ua.peer.answers(await ua.peer.hears("UPDATE", within_s=1000), status)
        assert ua.now - began == pytest.approx(at, abs=0.1)
    ua.peer.answers(await ua.peer.hears("UPDATE", within_s=1000), 481)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    assert leg.ended.result() is EndReason.UNREACHABLE


async def test_a_caller_without_timer_support_is_probed_by_update_until_it_refuses(ua: UserAgent) -> None:
    invite = messages.invite(headers=[ALLOWS])
    leg, ours = await ua.answered_leg(invite)
    assert ours.headers.get("Session-Expires") == "1800;refresher=uas"
    assert "Require" not in ours.headers
    ua.peer.answers(await ua.peer.hears("UPDATE", within_s=1000), 501)
    await asyncio.sleep(4000)
    assert ua.peer.count("UPDATE") == 1
    assert not leg.ended.done()


async def test_an_update_before_our_2xx_starts_no_session_timer(ua: UserAgent) -> None:
    invite = invite_with_interval("600;refresher=uac")
    leg = await ua.ringing_leg(invite)
    leg.progress(180)
    ringing = await ua.peer.hears(180)
    await ua.peer.says(from_caller(invite, "UPDATE", ringing, 2, headers=[TIMER, ("Session-Expires", "120")]))
    assert "Session-Expires" not in (await ua.peer.hears(200)).headers
    await asyncio.sleep(500)
    assert not leg.ended.done()


async def test_a_refresh_refused_with_retry_after_0_is_retried_after_five_seconds_rfc3261_20_33(
    ua: UserAgent,
) -> None:
    leg, _, _, began = await answered_with_timer(ua, "600;refresher=uas")
    for _ in range(3):
        ua.peer.answers(await ua.peer.hears("INVITE", within_s=400), 500, headers=[("Retry-After", "0")])
        await ua.peer.hears("ACK")
    assert ua.now - began == pytest.approx(310.0, abs=0.1)
    leg.end(EndReason.COMPLETED)
    ua.peer.answers(await ua.peer.hears("BYE"), 200)
    await ua.assert_clean()
