"""Which targets failed us lately: they are tried last, and come back (RFC 3263 §4.3, RFC 3261 §21.5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import structlog

from proxy.transport.flow import Target, TransportFailed

log = structlog.get_logger("screendoor")

BACK_OFF_S, MAX_BACK_OFF_S = 30.0, 300.0
"""How long a target that failed stands last; doubled with each failure in a row."""
MAX_HELD_S = 3600.0
"""However long a 503 asks to be left alone: by its Retry-After a peer must not switch itself off for good."""
MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class _Lapse:
    back_at: float
    failures: int


class Reachability:
    """The memory of one user agent core, over all its calls and probes. Times are the loop's, in seconds."""

    def __init__(self) -> None:
        self._lapses: dict[Target, _Lapse] = {}
        self._held: dict[Target, float] = {}

    def order(self, targets: Sequence[Target], now: float) -> list[Target]:
        """Those that stand, in their order; then those that failed lately, the first to come back first.

        Targets that asked to be left alone are left out (§21.5.4); raises TransportFailed if all did.
        """
        if not self._lapses and not self._held:
            return list(targets)
        free = [target for target in targets if self._held.get(target, 0.0) <= now]
        if targets and not free:
            wait_s = min(self._held[target] for target in targets) - now
            raise TransportFailed(f"{targets[0].name} asked to be left alone for {wait_s:.0f} s more")
        return sorted(free, key=lambda target: self._back_at(target, now))

    def stands(self, target: Target, now: float) -> bool:
        """False while it is to be tried last, or not at all."""
        return self._back_at(target, now) == 0.0 and self._held.get(target, 0.0) <= now

    def failed(self, target: Target, why: str, now: float) -> None:
        """It refused a connection, said nothing, or is unavailable: others come first for a while."""
        if len(self._lapses) >= MAX_REMEMBERED:
            self._lapses.clear()
        lapse = self._lapses.setdefault(target, _Lapse(0.0, 0))
        if lapse.back_at > now:  # it was tried for want of another, or by several calls at once
            return
        back_off_s = min(BACK_OFF_S * 2**lapse.failures, MAX_BACK_OFF_S)
        lapse.back_at, lapse.failures = now + back_off_s, lapse.failures + 1
        log.info("target failed", target=place(target), why=why, last_for_s=back_off_s)

    def down(self, target: Target) -> None:
        """It failed its probes: last until it answers one."""
        self._lapses[target] = _Lapse(inf, 1)

    def answered(self, target: Target) -> None:
        """It said something: it stands again. A Retry-After holds nevertheless."""
        lapse = self._lapses.pop(target, None) if self._lapses else None
        if lapse is not None and lapse.back_at != inf:  # what its probes say is told by them
            log.info("target answers again", target=place(target))

    def hold(self, target: Target, seconds: float, now: float) -> None:
        """It answered 503 with Retry-After: no request of ours until then (§21.5.4)."""
        if len(self._held) >= MAX_REMEMBERED:
            self._held.clear()
        self._held[target] = now + min(seconds, MAX_HELD_S)
        log.info("target left alone", target=place(target), for_s=min(seconds, MAX_HELD_S))

    def _back_at(self, target: Target, now: float) -> float:
        lapse = self._lapses.get(target)
        return lapse.back_at if lapse is not None and lapse.back_at > now else 0.0


def place(target: Target) -> str:
    """A target as logs and metrics name it: `tls:192.0.2.1:5061`, `udp:[2001:db8::1]:5060`."""
    host, port = target.address
    return f"{target.transport}:[{host}]:{port}" if ":" in host else f"{target.transport}:{host}:{port}"
