"""Non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320)."""

from __future__ import annotations

from proxy.sip.effects import Effect, Failed, Send, TimedOut
from proxy.sip.message import Request, Response
from proxy.sip.transactions import state
from proxy.sip.transactions.machine import Machine
from proxy.sip.transactions.state import State


class NonInviteServer(Machine):
    """Non-INVITE server transaction: RFC 3261 Figure 8, as amended by RFC 4320 §4.

        | request, passed to the TU by whoever creates this object
        V
     TRYING --100 from TU, or its time:--> PROCEEDING
        |    send                             |  request: resend the 100
        |  request: absorbed                  |
        |                                     |
        +--F: TimedOut up--> TERMINATED <--F--+     if deferred
        |                                     |
        +----------200-699 from TU: send------+
        |                                     |      408 from TU: never sent --> TERMINATED
        V                                     V
    COMPLETED <-------------------------------+      transport error: Failed up --> TERMINATED
        |  request: resend the response
        +---J---> TERMINATED                         J is zero on reliable transports
    """

    state = State.TRYING
    _last: Response | None = None
    _trying: Response | None = None

    def defer(self, trying: Response, now: float) -> list[Effect]:
        """The TU cannot answer yet (RFC 4320 §4.1, §4.2); calling this again changes nothing.

        Sends `trying`, a 100, when the client's timer E reaches T2. Gives up after the client's timer F: any
        answer would come too late.
        """
        if self.state is state.TRYING and self._trying is None:
            self._trying = trying
            self._stay(now + self._timers.f, now + self._timers.e_at_t2)
        return []

    def receive(self, request: Request, now: float) -> list[Effect]:
        """Process a retransmitted request (§17.2.2)."""
        match self.state:
            case state.PROCEEDING | state.COMPLETED if self._last is not None:  # §17.2.2
                return [Send(self._last)]
            case _:  # §17.2.2: TRYING discards retransmissions
                return []

    def respond(self, response: Response, now: float) -> list[Effect]:
        """Send a response of the TU (§17.2.2); after a final one, nothing more is sent."""
        if self.state not in (state.TRYING, state.PROCEEDING):
            return []  # §17.2.2: COMPLETED discards further responses
        match response.status:
            case 100:  # §17.2.2
                self._last = response
                self._enter(state.PROCEEDING, self._ends_at)
                return [Send(response)]
            case 408:  # RFC 4320 §4.2: never sent, since it would arrive too late
                self._enter(state.TERMINATED)
                return []
            case status if status < 200:  # RFC 4320 §4.1: 100 or nothing
                return []
            case _:  # §17.2.2; J is zero if reliable
                self._last = response
                if self._reliable:
                    self._enter(state.TERMINATED)
                else:
                    self._linger(state.COMPLETED, now, self._timers.j)
                return [Send(response)]

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now` (§17.2.2)."""
        match self.state:
            case state.COMPLETED if self._ends_at <= now:
                self._enter(state.TERMINATED)
                return []
            case state.TRYING | state.PROCEEDING if self._ends_at <= now:  # RFC 4320 §4.2
                self._enter(state.TERMINATED)
                return [TimedOut()]
            case state.TRYING if self._trying is not None and self._resend_at <= now:  # RFC 4320 §4.1
                return self.respond(self._trying, now)
            case _:
                return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The response could not be sent, or its flow is gone (§17.2.4)."""
        if self.terminated:
            return []
        self._enter(state.TERMINATED)
        return [Failed(error)]
