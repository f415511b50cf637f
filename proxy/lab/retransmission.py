"""Retransmission for a test peer: timers A, E and G (RFC 3261 §17)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow

T1_S = 0.5
T2_S = 4.0


class Retransmission:
    """Calls `send` after 0.5, 1.5, 3.5 … seconds, for at most 32 seconds, until stopped."""

    def __init__(self, send: Callable[[], None], *, cap_s: float = T2_S) -> None:
        """`cap_s`: the longest interval; infinite for an INVITE (§17.1.1.2)."""
        loop = asyncio.get_running_loop()
        self._send, self._cap_s, self._interval_s = send, cap_s, T1_S
        self._until = loop.time() + 64 * T1_S
        self._timer: asyncio.TimerHandle | None = loop.call_later(T1_S, self._again)

    @property
    def active(self) -> bool:
        return self._timer is not None

    def stop(self) -> None:
        """Stop; calling it again does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            self._timer = None
            return
        self._send()
        self._interval_s = min(2 * self._interval_s, self._cap_s)
        self._timer = loop.call_later(self._interval_s, self._again)


@dataclass(slots=True)
class SentRequest:
    """A request that the peer sent."""

    request: Request
    flow: Flow
    quiet: bool
    """Its responses go to the caller of the method that sent it, not to `receives`."""
    final: asyncio.Future[Response]
    resend: Retransmission | None = None
    ack: Request | None = None


@dataclass(slots=True)
class ReceivedRequest:
    """A request that the peer received."""

    flow: Flow
    response: Response | None = None
    resend: Retransmission | None = None
