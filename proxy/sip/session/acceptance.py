"""Acceptance: retransmission of our 2xx to an INVITE until the ACK arrives (RFC 3261 §13.3.1.4)."""

from __future__ import annotations

from proxy.sip.effects import Effect, Failed, Send, TimedOut
from proxy.sip.message import Response
from proxy.sip.timers import Timers


class Acceptance:
    """A 2xx awaiting its ACK; the UA core itself retransmits it, over every transport.

           start: send
              |
              V
           WAITING ---ACK---> over
              |  T1, 2*T1 ... T2: send again
              +---64*T1: TimedOut up---> over      the TU then ends the session with BYE (§13.3.1.4)

    Each `Send` goes through the INVITE server transaction, which forwards a 2xx (RFC 6026 §7.1).
    """

    linger_s = 0.0

    def __init__(self, response: Response, timers: Timers) -> None:
        self.response = response
        self.deadline: float | None = None
        """When `expire` is next due; None before the start and once over."""
        self.terminated = True
        """True before the start, once acknowledged, and after giving up."""
        self._timers = timers
        self._interval = timers.t1
        self._give_up_at = 0.0

    def start(self, now: float) -> list[Effect]:
        """Send the 2xx for the first time."""
        self.terminated = False
        self._give_up_at = now + 64 * self._timers.t1
        self.deadline = now + self._interval
        return [Send(self.response)]

    def acknowledged(self, now: float) -> list[Effect]:
        """The ACK has arrived; a repeated one changes nothing."""
        self._over()
        return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now`."""
        if self.deadline is None or now < self.deadline:
            return []
        if self._give_up_at <= now:
            self._over()
            return [TimedOut()]
        self._interval = min(2 * self._interval, self._timers.t2)
        self.deadline = min(now + self._interval, self._give_up_at)
        return [Send(self.response)]

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The transport failed: the 2xx can no longer be sent. No effect once over."""
        if self.terminated:
            return []
        self._over()
        return [Failed(error)]

    def _over(self) -> None:
        self.deadline, self.terminated = None, True
