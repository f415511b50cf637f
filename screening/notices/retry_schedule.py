"""When a notice is told again that could not be told: ever later, for about three days. Pure."""

from __future__ import annotations

from collections.abc import Callable

AFTER_S = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""How long after each try that failed the next one is; the example of Standard Webhooks, 75 hours in all."""
JITTER = 0.2
"""By so much of it a wait is longer or shorter, lest all come back at once."""
LONGEST_S = AFTER_S[-1] * (1 + JITTER)
MAX_TRIES = len(AFTER_S) + 1
LONGEST_PAUSE_S = 60.0
"""How long a target that fails is left alone; its notices wait for their own time besides."""
LONGEST_ASKED_S = 3600.0
"""How long it is left alone at most if it asks for it."""


def again_after_s(
    tries: int, asked_s: float | None, uniform: Callable[[float, float], float]
) -> float | None:
    """How long to wait after so many `tries`; None: it is given up.

    `asked_s` is what the receiver asked for; it is waited for, if it is not longer than we would ever wait.
    """
    if tries >= MAX_TRIES:
        return None
    own = AFTER_S[tries - 1] * uniform(1 - JITTER, 1 + JITTER)
    return max(own, min(asked_s or 0.0, LONGEST_S))


def pause_s(failures: int, asked_s: float = 0.0) -> float:
    """How long a target is left alone that has failed so often in a row."""
    return max(min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S), min(asked_s, LONGEST_ASKED_S))
