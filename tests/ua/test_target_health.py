"""Health of targets: which ones failed recently (RFC 3263 §4.3, RFC 3261 §21.5.4)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from proxy.transport.flow import Target, TransportFailed
from proxy.ua.target_health import TargetHealth, target_label

ONE, TWO, SIX = (
    Target("udp", ("192.0.2.1", 5060), "pbx.example.com"),
    Target("tls", ("192.0.2.2", 5061), "pbx.example.com"),
    Target("tcp", ("2001:db8::1", 5060), "pbx.example.com"),
)


def test_healthy_targets_keep_their_order() -> None:
    health = TargetHealth()
    assert health.order([TWO, ONE], 0.0) == [TWO, ONE]
    health.failed(SIX, "no answer", 0.0)
    assert health.order([TWO, ONE], 0.0) == [TWO, ONE]


def test_a_failed_target_is_ordered_last_for_thirty_seconds() -> None:
    health = TargetHealth()
    health.failed(ONE, "connection refused", 100.0)
    assert health.order([ONE, TWO], 129.9) == [TWO, ONE]
    assert not health.is_healthy(ONE, 129.9)
    assert health.order([ONE, TWO], 130.0) == [ONE, TWO]
    assert health.is_healthy(ONE, 130.0)


def test_each_further_failure_doubles_the_back_off_up_to_five_minutes() -> None:
    health, now, waits = TargetHealth(), 0.0, []
    for _ in range(6):
        with capture_logs() as logs:
            health.failed(ONE, "no answer", now)
            health.failed(ONE, "no answer", now + 1)  # another call that was trying it at the same time
        (line,) = logs
        assert (line["event"], line["target"]) == ("target failed", "udp:192.0.2.1:5060")
        waits.append(line["last_for_s"])
        now += line["last_for_s"]
    assert waits == [30, 60, 120, 240, 300, 300]


def test_a_response_makes_a_failed_target_healthy_at_once() -> None:
    health = TargetHealth()
    health.failed(ONE, "no answer", 0.0)
    with capture_logs() as logs:
        health.answered(ONE)
        health.answered(ONE)
    assert [line["event"] for line in logs] == ["target answers again"]
    assert health.order([ONE, TWO], 1.0) == [ONE, TWO]
    health.failed(ONE, "no answer", 1.0)
    assert health.order([ONE, TWO], 32.0) == [ONE, TWO]  # the back-off started over


def test_failed_targets_are_ordered_by_the_end_of_their_back_off() -> None:
    health = TargetHealth()
    health.failed(TWO, "no answer", 5.0)
    health.failed(ONE, "no answer", 9.0)
    health.down(SIX)
    assert health.order([SIX, ONE, TWO], 10.0) == [TWO, ONE, SIX]
    health.answered(SIX)
    assert health.order([SIX, ONE, TWO], 10.0) == [SIX, TWO, ONE]


def test_a_target_on_hold_is_left_out_until_its_retry_after_rfc3261_21_5_4() -> None:
    health = TargetHealth()
    health.hold(ONE, 120, 0.0)
    health.answered(ONE)
    assert health.order([ONE, TWO], 119.0) == [TWO]
    assert not health.is_healthy(ONE, 119.0)
    with pytest.raises(TransportFailed, match=r"pbx\.example\.com asked to be left alone for 1 s more"):
        health.order([ONE], 119.0)
    assert health.order([ONE, TWO], 120.0) == [ONE, TWO]


def test_a_hold_lasts_one_hour_at_most() -> None:
    health = TargetHealth()
    health.hold(ONE, 10**8, 0.0)
    assert health.order([ONE], 3600.0) == [ONE]


def test_the_label_of_an_ipv6_target_has_brackets() -> None:
    assert [target_label(each) for each in (ONE, TWO, SIX)] == [
        "udp:192.0.2.1:5060",
        "tls:192.0.2.2:5061",
        "tcp:[2001:db8::1]:5060",
    ]


def test_the_number_of_remembered_targets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.ua.target_health.MAX_REMEMBERED", 3)
    health = TargetHealth()
    for port in range(1, 9):
        health.failed(Target("udp", ("192.0.2.1", port), "a"), "no answer", 0.0)
        health.hold(Target("udp", ("192.0.2.1", port), "a"), 60, 0.0)
    assert len(health._records) <= 3
    assert len(health._held_until) <= 3
