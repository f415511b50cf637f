"""Log lines that strangers can cause are rate-limited."""

from __future__ import annotations

from structlog.testing import capture_logs

from screening.log_limit import LINES_PER_MINUTE, LogLimit


def test_log_lines_are_limited_per_minute_even_if_the_clock_goes_back() -> None:
    limited = LogLimit("too many")
    with capture_logs() as logs:
        for now in (1000.0, 1059.0, 1060.0, 500.0):
            for number in range(1000):
                limited.warning(now, "refused", number=number)
    first = [{"number": number, "event": "refused", "log_level": "warning"} for number in range(30)]
    assert LINES_PER_MINUTE == 30
    assert logs == [*first, {"event": "too many", "log_level": "warning"}] * 3
