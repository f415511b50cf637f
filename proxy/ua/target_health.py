"""Targets that failed recently: they are tried last, and recover (RFC 3263 §4.3, RFC 3261 §21.5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import structlog

from proxy.transport.flow import Target, TransportFailed

log = structlog.get_logger("screendoor")

BACK_OFF_S, MAX_BACK_OFF_S = 30.0, 300.0
"""How long a failed target is tried last; doubled with each failure in a row."""
MAX_HELD_S = 3600.0
"""Upper bound for a 503's Retry-After: a peer must not be able to disable itself for good."""
MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class _FailureRecord:
    back_at: float
    failures: int


class TargetHealth:
    """The health of targets as seen by one core, over all calls and probes. Times are loop seconds."""

    def __init__(self) -> None:
        self._records: dict[Target, _FailureRecord] = {}
        self._held_until: dict[Target, float] = {}

    def order(self, targets: Sequence[Target], now: float) -> list[Target]:
        """Healthy targets in their given order, then those that failed recently, by when they recover.

        Targets held by a Retry-After are left out (§21.5.4); raises TransportFailed if all are.
        """
        if not self._records and not self._held_until:
            return list(targets)
        free = [target for target in targets if self._held_until.get(target, 0.0) <= now]
        if targets and not free:
            wait_s = min(self._held_until[target] for target in targets) - now
            raise TransportFailed(f"{targets[0].name} asked to be left alone for {wait_s:.0f} s more")
        return sorted(free, key=lambda target: self._back_at(target, now))

    def is_healthy(self, target: Target, now: float) -> bool:
        """False while it is to be tried last, or not at all."""
        return self._back_at(target, now) == 0.0 and self._held_until.get(target, 0.0) <= now

    def failed(self, target: Target, why: str, now: float) -> None:
        """It refused the connection, did not respond, or is unavailable: try it last for a while."""
        if len(self._records) >= MAX_REMEMBERED:
            self._records.clear()
        record = self._records.setdefault(target, _FailureRecord(0.0, 0))
        if record.back_at > now:  # tried because there was no other, or by several calls at once
            return
        back_off_s = min(BACK_OFF_S * 2**record.failures, MAX_BACK_OFF_S)
        record.back_at, record.failures = now + back_off_s, record.failures + 1
        log.info("target failed", target=target_label(target), why=why, last_for_s=back_off_s)

    def down(self, target: Target) -> None:
        """It failed its probes: try it last until it answers one."""
        self._records[target] = _FailureRecord(inf, 1)

    def answered(self, target: Target) -> None:
        """It responded: it is healthy again. A Retry-After stays in force."""
        record = self._records.pop(target, None) if self._records else None
        if record is not None and record.back_at != inf:  # the probes log their own results
            log.info("target answers again", target=target_label(target))

    def hold(self, target: Target, seconds: float, now: float) -> None:
        """It responded 503 with Retry-After: send it no request until then (§21.5.4)."""
        if len(self._held_until) >= MAX_REMEMBERED:
            self._held_until.clear()
        self._held_until[target] = now + min(seconds, MAX_HELD_S)
        log.info(
            "target avoided: it answered Retry-After",
            target=target_label(target),
            for_s=min(seconds, MAX_HELD_S),
        )

    def _back_at(self, target: Target, now: float) -> float:
        record = self._records.get(target)
        return record.back_at if record is not None and record.back_at > now else 0.0


def target_label(target: Target) -> str:
    """A target as named in logs and metrics: `tls:192.0.2.1:5061`, `udp:[2001:db8::1]:5060`."""
    host, port = target.address
    return f"{target.transport}:[{host}]:{port}" if ":" in host else f"{target.transport}:{host}:{port}"
