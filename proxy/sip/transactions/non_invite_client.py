"""Non-INVITE client transaction (RFC 3261 §17.1.2, RFC 4320)."""

from __future__ import annotations

from math import inf

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.message import Response
from proxy.sip.transactions import state
from proxy.sip.transactions.machine import Machine
from proxy.sip.transactions.state import State


class NonInviteClient(Machine):
    """Non-INVITE client transaction: RFC 3261 Figure 6.

        | request from TU: send it; start F (and E on UDP)
        V
     TRYING -----1xx: up----> PROCEEDING      E: resend; in TRYING E doubles up to T2,
        |                         |  1xx: up     in PROCEEDING it is T2
        +-------200-699: up-------+
        |                         |           F, in either: TimedOut up --> TERMINATED
        V                         V           transport error: Failed up --> TERMINATED
    COMPLETED <-------------------+
        |  responses absorbed
        +---K---> TERMINATED                  K is zero on reliable transports
    """

    state = State.TRYING

    def start(self, now: float) -> list[Effect]:
        """Send the request (§17.1.2.2)."""
        self._interval = inf if self._reliable else self._timers.e
        self._stay(now + self._timers.f, now + self._interval)
        return [Send(self.request)]

    def receive(self, response: Response, now: float) -> list[Effect]:
        """Process a response that matches this transaction (§17.1.2.2)."""
        match self.state:
            case state.TRYING | state.PROCEEDING if response.status < 200:  # §17.1.2.2: E and F run on
                self.state = state.PROCEEDING
                return [Deliver(response)]
            case state.TRYING | state.PROCEEDING:  # §17.1.2.2; K is zero if reliable
                if self._reliable:
                    self._enter(state.TERMINATED)
                else:
                    self._linger(state.COMPLETED, now, self._timers.k)
                return [Deliver(response)]
            case _:  # §17.1.2.2: COMPLETED absorbs repeated responses
                return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now`; a timer that ends the transaction comes before a retransmission."""
        match self.state:
            case state.TRYING | state.PROCEEDING if self._ends_at <= now:  # §17.1.2.2
                self._enter(state.TERMINATED)
                return [TimedOut()]
            case state.TRYING if self._resend_at <= now:  # §17.1.2.2: MIN(2*E, T2)
                return self._resend(min(2 * self._interval, self._timers.t2), now)
            case state.PROCEEDING if self._resend_at <= now:  # §17.1.2.2: T2
                return self._resend(self._timers.t2, now)
            case state.COMPLETED if self._ends_at <= now:  # §17.1.2.2
                self._enter(state.TERMINATED)
                return []
            case _:
                return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The transport failed (§17.1.4); in COMPLETED nothing is sent any more, so it does not matter."""
        match self.state:
            case state.TRYING | state.PROCEEDING:
                self._enter(state.TERMINATED)
                return [Failed(error)]
            case _:
                self._enter(state.TERMINATED)
                return []

    def _resend(self, interval: float, now: float) -> list[Effect]:
        self._interval = interval
        self._stay(self._ends_at, now + interval)
        return [Send(self.request)]
