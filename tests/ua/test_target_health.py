"""The memory of targets that failed recently (RFC 3263 §4.3, RFC 3261 §21.5.4)."""

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


def test_targets_that_never_failed_keep_their_order() -> None:
    memory = TargetHealth()
    assert memory.order([TWO, ONE], 0.0) == [TWO, ONE]
    memory.failed(SIX, "no answer", 0.0)
    assert memory.order([TWO, ONE], 0.0) == [TWO, ONE]


def test_a_target_that_failed_is_last_for_thirty_seconds_and_comes_back() -> None:
    memory = TargetHealth()
    memory.failed(ONE, "connection refused", 100.0)
    assert memory.order([ONE, TWO], 129.9) == [TWO, ONE]
    assert not memory.is_healthy(ONE, 129.9)
    assert memory.order([ONE, TWO], 130.0) == [ONE, TWO]
    assert memory.is_healthy(ONE, 130.0)


def test_failing_again_doubles_the_back_off_up_to_five_minutes() -> None:
    memory, now, waits = TargetHealth(), 0.0, []
    for _ in range(6):
        with capture_logs() as logs:
            memory.failed(ONE, "no answer", now)
            memory.failed(ONE, "no answer", now + 1)  # another call that was trying it at the same time
        (line,) = logs
        assert (line["event"], line["target"]) == ("target failed", "udp:192.0.2.1:5060")
        waits.append(line["last_for_s"])
        now += line["last_for_s"]
    assert waits == [30, 60, 120, 240, 300, 300]


def test_an_answer_makes_it_stand_again_at_once() -> None:
    memory = TargetHealth()
    memory.failed(ONE, "no answer", 0.0)
    with capture_logs() as logs:
        memory.answered(ONE)
        memory.answered(ONE)
    assert [line["event"] for line in logs] == ["target answers again"]
    assert memory.order([ONE, TWO], 1.0) == [ONE, TWO]
    memory.failed(ONE, "no answer", 1.0)
    assert memory.order([ONE, TWO], 32.0) == [ONE, TWO]  # the back-off started over


def test_of_targets_that_all_failed_the_first_to_come_back_is_first() -> None:
    memory = TargetHealth()
    memory.failed(TWO, "no answer", 5.0)
    memory.failed(ONE, "no answer", 9.0)
    memory.down(SIX)
    assert memory.order([SIX, ONE, TWO], 10.0) == [TWO, ONE, SIX]
    memory.answered(SIX)
    assert memory.order([SIX, ONE, TWO], 10.0) == [SIX, TWO, ONE]


def test_a_target_that_asked_for_it_is_left_alone_until_then_rfc3261_21_5_4() -> None:
    memory = TargetHealth()
    memory.hold(ONE, 120, 0.0)
    memory.answered(ONE)
    assert memory.order([ONE, TWO], 119.0) == [TWO]
    assert not memory.is_healthy(ONE, 119.0)
    with pytest.raises(TransportFailed, match=r"pbx\.example\.com asked to be left alone for 1 s more"):
        memory.order([ONE], 119.0)
    assert memory.order([ONE, TWO], 120.0) == [ONE, TWO]


def test_nobody_can_ask_to_be_left_alone_for_more_than_an_hour() -> None:
    memory = TargetHealth()
    memory.hold(ONE, 10**8, 0.0)
    assert memory.order([ONE], 3600.0) == [ONE]


def test_targets_are_named_with_brackets_where_they_need_them() -> None:
    assert [target_label(each) for each in (ONE, TWO, SIX)] == [
        "udp:192.0.2.1:5060",
        "tls:192.0.2.2:5061",
        "tcp:[2001:db8::1]:5060",
    ]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.ua.target_health.MAX_REMEMBERED", 3)
    memory = TargetHealth()
    for port in range(1, 9):
        memory.failed(Target("udp", ("192.0.2.1", port), "a"), "no answer", 0.0)
        memory.hold(Target("udp", ("192.0.2.1", port), "a"), 60, 0.0)
    assert len(memory._records) <= 3
    assert len(memory._held_until) <= 3
