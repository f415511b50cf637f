"""Session timers: (time, input) -> (time, effect), and the headers of either end (RFC 4028)."""

from __future__ import annotations

import pytest

from proxy.sip.errors import ParseError
from proxy.sip.message import Request, Response
from proxy.sip.session import Expired, Refresh, SessionTimer
from proxy.sip.session.timer import INTERVAL, MAX_RAISES
from tests.kit.messages import invite, ok, request, response, signalwire_invite

KNOWS = ("Supported", "path, timer")
ALLOWS = ("Allow", "INVITE, ACK, UPDATE")


def asking(seconds: str | None, *others: tuple[str, str]) -> Request:
    return invite(headers=[*([("Session-Expires", seconds)] if seconds else []), *others])


def update(*headers: tuple[str, str]) -> Request:
    return request("UPDATE", to_tag="ours", cseq=2, headers=headers)


def agreeing(seconds: str | None) -> Response:
    return ok(invite(), headers=[("Session-Expires", seconds)] if seconds else [])


def too_brief(least: str | None) -> Response:
    return response(invite(), 422, headers=[("Min-SE", least)] if least else [])


def timeline(timer: SessionTimer) -> list[tuple[float, Refresh | Expired]]:
    seen: list[tuple[float, Refresh | Expired]] = []
    while (due := timer.deadline) is not None:
        seen += [(due, effect) for effect in timer.expire(due)]
    return seen


# Answering


def test_the_peers_timer_is_accepted_with_the_peer_as_refresher_rfc4028_9() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    assert not timer.too_small
    assert list(timer.headers) == [("Require", "timer"), ("Session-Expires", "600;refresher=uac")]
    assert (timer.interval, timer.refreshing) == (600, False)
    assert timer.deadline is None


def test_without_a_refresh_the_session_expires_before_the_interval_ends_rfc4028_10() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    timer.start(1000.0)
    assert timer.expire(1567.9) == []
    assert timeline(timer) == [(1568.0, Expired())]
    assert timer.expire(2000.0) == []


def test_a_refresh_by_the_peer_restarts_the_interval_rfc4028_10() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    timer.start(0.0)
    timer.refreshed(300.0, update(KNOWS, ("Session-Expires", "600;refresher=uac")))
    assert list(timer.headers) == [("Require", "timer"), ("Session-Expires", "600;refresher=uac")]
    assert timeline(timer) == [(868.0, Expired())]


def test_a_short_interval_expires_a_third_of_it_early_rfc4028_10() -> None:
    timer = SessionTimer.answering(asking("90;refresher=uac", KNOWS))
    timer.start(0.0)
    assert timeline(timer) == [(60.0, Expired())]


def test_as_refresher_we_refresh_at_half_the_interval_rfc4028_10() -> None:
    timer = SessionTimer.answering(asking("600;refresher=uas", KNOWS))
    assert list(timer.headers) == [("Require", "timer"), ("Session-Expires", "600;refresher=uas")]
    timer.start(0.0)
    assert timeline(timer) == [(300.0, Refresh()), (568.0, Expired())]


def test_a_2xx_to_our_refresh_restarts_the_interval_rfc4028_10() -> None:
    timer = SessionTimer.answering(asking("600;refresher=uas", KNOWS))
    timer.start(0.0)
    assert timer.expire(300.0) == [Refresh()]
    timer.refreshed(300.2, agreeing("600;refresher=uac"))
    assert timer.refreshing
    assert timer.deadline == pytest.approx(600.2)


def test_a_refused_refresh_does_not_restart_the_interval_rfc4028_10() -> None:
    timer = SessionTimer.answering(asking("600;refresher=uas", KNOWS))
    timer.start(0.0)
    assert timer.expire(300.0) == [Refresh()]
    timer.refreshed(300.2, response(invite(), 500, headers=[("Session-Expires", "600;refresher=uac")]))
    assert timeline(timer) == [(568.0, Expired())]


def test_without_a_refresher_parameter_the_peer_becomes_the_refresher_rfc4028_9() -> None:
    assert (
        dict(SessionTimer.answering(asking("600", KNOWS)).headers).get("Session-Expires")
        == "600;refresher=uac"
    )


def test_compact_header_names_and_any_case_are_accepted() -> None:
    timer = SessionTimer.answering(invite(headers=[("k", "Timer"), ("x", "600 ;Refresher=UAC")]))
    assert dict(timer.headers)["Session-Expires"] == "600;refresher=uac"


def test_an_interval_below_our_minimum_is_refused_with_min_se_rfc4028_9() -> None:
    timer = SessionTimer.answering(asking("89;refresher=uac", KNOWS))
    assert timer.too_small
    assert list(timer.headers) == [("Min-SE", "90")]
    assert dict(SessionTimer.answering(asking("600", KNOWS), min_se=1800).headers)["Min-SE"] == "1800"


def test_a_refresh_with_too_small_an_interval_changes_nothing_rfc4028_9() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    timer.start(0.0)
    timer.refreshed(300.0, update(KNOWS, ("Session-Expires", "30")))
    assert timer.too_small
    assert (timer.interval, timer.deadline) == (600, 568.0)
    timer.refreshed(301.0, update(KNOWS, ("Session-Expires", "90")))
    assert not timer.too_small


@pytest.mark.parametrize(
    "unasked", [asking(None), asking(None, KNOWS), asking("600"), asking("30")],
    ids=["nothing", "only supported", "only a proxy asks", "only a proxy asks too little"],
)  # fmt: skip
def test_no_timer_runs_unless_the_peer_supports_it_and_asks_for_one_rfc4028_9(unasked: Request) -> None:
    timer = SessionTimer.answering(unasked)
    timer.start(0.0)
    assert list(timer.headers) == []
    assert list(timer.refresh_headers) == []
    assert not timer.too_small
    assert timer.deadline is None


def test_no_timer_runs_if_ours_is_switched_off() -> None:
    timer = SessionTimer.answering(signalwire_invite(), supported=False)
    timer.start(0.0)
    timer.refreshed(1.0, signalwire_invite())
    assert list(timer.headers) == []
    assert timer.deadline is None


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (asking(None), []),
        (asking(None, ALLOWS), [("Session-Expires", "1800;refresher=uas")]),
        (asking(None, KNOWS), [("Require", "timer"), ("Session-Expires", "1800;refresher=uas")]),
        (
            asking(None, KNOWS, ("Min-SE", "3600")),
            [("Require", "timer"), ("Session-Expires", "3600;refresher=uas")],
        ),
        (asking("600"), [("Session-Expires", "600;refresher=uas")]),
        (
            asking("600;refresher=uac", KNOWS),
            [("Require", "timer"), ("Session-Expires", "600;refresher=uac")],
        ),
    ],
)
def test_a_timer_requested_by_us_or_a_proxy_alone_makes_us_the_refresher_rfc4028_table_2(
    received: Request, answer: list[tuple[str, str]]
) -> None:
    assert list(SessionTimer.answering(received, wanted=1800).headers) == answer


def test_a_reinvite_without_session_expires_does_not_stop_our_refreshes() -> None:
    timer = SessionTimer.answering(asking("600;refresher=uas", KNOWS))
    timer.start(0.0)
    timer.refreshed(100.0, asking(None, KNOWS))
    assert dict(timer.headers)["Session-Expires"] == "600;refresher=uas"
    assert timer.deadline == 400.0


def test_a_refreshing_peer_that_omits_session_expires_ends_the_timer_rfc4028_9() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    timer.start(0.0)
    timer.refreshed(100.0, asking(None, KNOWS))
    assert timer.deadline is None


def test_a_malformed_session_expires_raises_parse_error() -> None:
    with pytest.raises(ParseError):
        SessionTimer.answering(asking("soon", KNOWS))


# Our own re-INVITE


def test_our_reinvite_keeps_the_interval_and_the_refresher_rfc4028_7_4() -> None:
    timer = SessionTimer.answering(signalwire_invite())
    assert list(timer.refresh_headers) == [
        ("Supported", "timer"), ("Session-Expires", "600;refresher=uas"), ("Min-SE", "90"),
    ]  # fmt: skip
    timer.start(0.0)
    timer.refreshed(100.0, agreeing("600;refresher=uas"))
    assert timeline(timer) == [(668.0, Expired())]


def test_our_refresh_names_us_as_the_refresher_rfc4028_7_4() -> None:
    timer = SessionTimer.answering(asking("600;refresher=uas", KNOWS))
    assert dict(timer.refresh_headers)["Session-Expires"] == "600;refresher=uac"


# Offering


def test_our_invite_requests_a_session_timer_rfc4028_7_1() -> None:
    timer = SessionTimer.offering()
    assert list(timer.headers) == [("Supported", "timer"), ("Session-Expires", "1800"), ("Min-SE", "90")]
    assert (
        dict(SessionTimer.offering(600, refresher="uas").headers).get("Session-Expires")
        == "600;refresher=uas"
    )
    assert timer.deadline is None


def test_a_2xx_without_session_expires_means_no_timer_rfc4028_7_2() -> None:
    timer = SessionTimer.offering()
    timer.refreshed(0.0, agreeing(None))
    assert timer.deadline is None
    assert list(timer.refresh_headers) == []


@pytest.mark.parametrize(
    ("agreed", "seen"),
    [
        ("600;refresher=uac", [(300.0, Refresh()), (568.0, Expired())]),
        ("600", [(300.0, Refresh()), (568.0, Expired())]),
        ("600;refresher=uas", [(568.0, Expired())]),
    ],
)
def test_the_session_expires_of_the_2xx_sets_interval_and_refresher_rfc4028_7_2(
    agreed: str, seen: list[tuple[float, Refresh | Expired]]
) -> None:
    timer = SessionTimer.offering()
    timer.refreshed(0.0, agreeing(agreed))
    assert timeline(timer) == seen


def test_a_tiny_interval_in_a_2xx_is_raised_to_the_minimum_rfc4028_5() -> None:
    timer = SessionTimer.offering()
    timer.refreshed(0.0, agreeing("1;refresher=uac"))
    assert timer.deadline == 45.0


def test_a_422_raises_the_interval_of_our_invite_to_the_peers_min_se_rfc4028_7_3() -> None:
    timer = SessionTimer.offering()
    timer.raise_interval(too_brief("3600"))
    assert list(timer.headers) == [("Supported", "timer"), ("Session-Expires", "3600"), ("Min-SE", "3600")]
    with pytest.raises(ParseError, match="unacceptable Min-SE in 422: 3600 s"):
        timer.raise_interval(too_brief("3600"))
    timer.raise_interval(too_brief("7200"))
    assert dict(timer.headers)["Min-SE"] == "7200"


def test_a_422_raises_the_interval_of_our_refresh_rfc4028_7_4() -> None:
    timer = SessionTimer.offering()
    timer.refreshed(0.0, agreeing("600;refresher=uac"))
    timer.raise_interval(too_brief("900"))
    assert list(timer.refresh_headers) == [
        ("Supported", "timer"), ("Session-Expires", "900;refresher=uac"), ("Min-SE", "900"),
    ]  # fmt: skip


@pytest.mark.parametrize("least", [None, "60", "soon", "4294967295"])
def test_a_422_with_a_missing_low_malformed_or_huge_min_se_raises_parse_error_rfc4028_6(
    least: str | None,
) -> None:
    with pytest.raises(ParseError):
        SessionTimer.offering().raise_interval(too_brief(least))


# A refresh that fails, and a peer without timer support


def refreshing(seconds: str = "600;refresher=uac", *others: tuple[str, str]) -> SessionTimer:
    timer = SessionTimer.offering()
    timer.refreshed(0.0, ok(invite(), headers=[("Session-Expires", seconds), *others]))
    return timer


def test_a_refused_refresh_is_retried_until_the_session_expires_rfc4028_10() -> None:
    timer = refreshing()
    seen: list[tuple[float, Refresh | Expired]] = []
    while (due := timer.deadline) is not None:
        seen += [(round(due, 1), effect) for effect in timer.expire(due)]
        timer.refresh_failed(due)
    refreshes = [at for at, effect in seen if effect == Refresh()]
    assert refreshes == [300.0, 389.3, 448.9, 488.6, 515.1, 532.7, 544.5, 552.3, 557.5, 562.5, 567.5]
    assert seen[-1] == (568.0, Expired())


def test_a_refused_refresh_is_retried_after_its_retry_after_rfc3261_21_5_4() -> None:
    timer = refreshing()
    assert timer.expire(300.0) == [Refresh()]
    timer.refresh_failed(300.1, 40.0)
    assert timer.deadline == pytest.approx(340.1)
    assert timer.expire(340.1) == [Refresh()]
    timer.refresh_failed(340.2, 4000.0)
    assert timeline(timer) == [(568.0, Expired())]


def test_a_failed_refresh_changes_nothing_if_we_are_not_the_refresher() -> None:
    for timer in (SessionTimer.offering(), refreshing("600;refresher=uas")):
        before = timer.deadline
        timer.refresh_failed(10.0)
        assert timer.deadline == before


def test_a_peer_without_timer_support_is_refreshed_by_update_if_it_allows_update_rfc4028_9() -> None:
    called = SessionTimer.answering(asking(None, ALLOWS), wanted=1800)
    called.start(0.0)
    calling = SessionTimer.offering()
    calling.refreshed(0.0, ok(invite(), headers=[ALLOWS]))
    for timer in (called, calling):
        assert (timer.one_sided, timer.by_update, timer.deadline) == (True, True, 900.0)
        assert timer.expire(900.0) == [Refresh()]
        timer.refresh_failed(900.1)  # any response shows that the peer is alive
        assert timer.deadline == pytest.approx(1800.1)
        assert timer.expire(1800.1) == [Refresh()]
        timer.refreshed(1800.2, ok(invite()))
        assert (timer.one_sided, timer.deadline) == (True, pytest.approx(2700.2))
        assert timer.expire(2700.2) == [Refresh()]
        timer.update_refused()
        assert (timer.one_sided, timer.deadline) == (False, None)


def test_after_a_refused_update_the_refresh_is_a_reinvite() -> None:
    timer = refreshing("600;refresher=uac", ALLOWS)
    assert timer.by_update
    timer.update_refused()
    assert (timer.by_update, timer.deadline) == (False, 300.0)


def test_a_message_without_allow_does_not_change_whether_update_is_allowed_rfc3261_20_5() -> None:
    timer = refreshing("600;refresher=uac", ALLOWS)
    timer.refreshed(100.0, agreeing("600;refresher=uac"))
    assert timer.by_update
    timer.refreshed(100.0, ok(invite(), headers=[("Session-Expires", "600"), ("Allow", "INVITE, UPDATED")]))
    assert not timer.by_update


def test_the_interval_changes_with_every_refresh_rfc4028_7_2() -> None:
    timer = refreshing("600;refresher=uac")
    timer.refreshed(300.0, agreeing("1200;refresher=uac"))
    assert (timer.interval, timer.deadline) == (1200, 900.0)
    timer.refreshed(900.0, update(KNOWS, ("Session-Expires", "300;refresher=uac")))
    assert (timer.interval, timer.refreshing, timer.deadline) == (300, False, 1168.0)


def test_an_interval_requested_by_a_proxy_is_refreshed_by_us_rfc4028_9() -> None:
    timer = SessionTimer.answering(asking("600"), wanted=1800)
    timer.start(0.0)
    assert (timer.one_sided, timer.by_update) == (True, False)
    timer.refreshed(300.0, update())
    assert dict(timer.headers)["Session-Expires"] == "600;refresher=uas"


def test_empty_session_expires_and_min_se_are_ignored() -> None:
    timer = SessionTimer.answering(invite(headers=[KNOWS, ("Session-Expires", ""), ("Min-SE", "")]))
    assert (timer.interval, timer.too_small) == (None, False)


def test_the_number_of_422_raises_is_limited_rfc4028_7_3() -> None:
    timer = SessionTimer.offering()
    for least in range(1801, 1801 + MAX_RAISES):
        timer.raise_interval(too_brief(str(least)))
    with pytest.raises(ParseError, match="unacceptable Min-SE in 422: 1900 s"):
        timer.raise_interval(too_brief("1900"))


def test_a_2xx_without_timer_or_allow_headers_leaves_the_timer_unchanged() -> None:
    silent = response(invite(), 200)
    asked, told = SessionTimer.offering(), SessionTimer.offering()
    told.refreshed(0.0, silent)
    assert SessionTimer.ruled_out_by(silent)
    assert all(getattr(told, name) == getattr(asked, name) for name in SessionTimer.__slots__)
    assert not SessionTimer.ruled_out_by(response(invite(), 200, headers=[("Allow", "INVITE, UPDATE")]))
    assert not SessionTimer.ruled_out_by(response(invite(), 200, headers=[("Session-Expires", "600")]))


def test_a_2xx_with_allow_lacking_update_leaves_the_timer_unchanged() -> None:
    without = response(invite(), 200, headers=[("Allow", "INVITE, ACK"), ("Allow", "BYE")])
    asked, told = SessionTimer.offering(), SessionTimer.offering()
    told.refreshed(0.0, without)
    assert SessionTimer.ruled_out_by(without)
    assert all(getattr(told, name) == getattr(asked, name) for name in SessionTimer.__slots__)


@pytest.mark.parametrize(
    ("name", "value", "ignored"),
    [
        ("Allow", "INVITE, BYE", True),
        ("Allow", "INVITE, UPDATE", False),
        ("Supported", "timer", False),
        ("Session-Expires", "600", False),
        ("Min-SE", "much", False),  # rejected later, when it is parsed
    ],
)
def test_an_invite_without_timer_headers_or_update_rules_out_a_timer(
    name: str, value: str, ignored: bool
) -> None:
    asked = invite(headers=[(name, value)])
    assert SessionTimer.ruled_out_by(asked) is ignored
    if ignored:
        timer = SessionTimer.answering(asked, wanted=INTERVAL)
        timer.start(0.0)
        assert (timer.interval, timer.deadline, timer.headers, timer.too_small) == (None, None, (), False)
