"""Retry delays of failed deliveries, growing over about three days. Pure."""

from __future__ import annotations

from collections.abc import Callable

RETRY_DELAYS_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Delay after each failed attempt: the example schedule of Standard Webhooks, 75 hours in total."""
JITTER = 0.2
"""Relative jitter, which keeps deliveries from being retried all at once."""
MAX_RETRY_DELAY_S = RETRY_DELAYS_S[-1] * (1 + JITTER)
MAX_TRIES = len(RETRY_DELAYS_S) + 1
MAX_PAUSE_S = 60.0
"""Maximum pause of a target after consecutive failures; each delivery has its own retry delay besides."""
MAX_ASKED_PAUSE_S = 3600.0
"""Maximum pause that a target can ask for by Retry-After."""


def retry_delay_s(
    tries: int, retry_after_s: float | None, uniform: Callable[[float, float], float]
) -> float | None:
    """Delay before the next attempt, after so many `tries`; None: give up.

    `retry_after_s` is the receiver's Retry-After; it is honoured up to our own longest delay.
    """
    if tries >= MAX_TRIES:
        return None
    own = RETRY_DELAYS_S[tries - 1] * uniform(1 - JITTER, 1 + JITTER)
    return max(own, min(retry_after_s or 0.0, MAX_RETRY_DELAY_S))


def pause_s(failures: int, retry_after_s: float = 0.0) -> float:
    """How long to leave a target alone after consecutive failures."""
    return max(min(2.0 ** min(failures - 1, 10), MAX_PAUSE_S), min(retry_after_s, MAX_ASKED_PAUSE_S))
