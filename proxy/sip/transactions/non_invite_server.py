"""Non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320)."""

from __future__ import annotations

from proxy.sip.effects import Effect, Failed, Send
from proxy.sip.message import Request, Response
from proxy.sip.timers import Timers
from proxy.sip.transactions.machine import Machine
from proxy.sip.transactions.state import State


class NonInviteServer(Machine):
    """Non-INVITE server transaction: RFC 3261 Figure 8, as amended by RFC 4320 §4.

        | request, given to the TU by whoever makes this object
        V
     TRYING ------100 from TU: send-----> PROCEEDING
        |  request: absorbed                  |  request: resend the 100
        |                                     |
        +----------200-699 from TU: send------+
        |                                     |      408 from TU: never sent --> TERMINATED
        V                                     V
    COMPLETED <-------------------------------+      transport error: Failed up --> TERMINATED
        |  request: resend the response
        +---J---> TERMINATED                         J is zero on reliable transports
    """

    lingering = frozenset({State.COMPLETED})

    def __init__(self, request: Request, timers: Timers, reliable: bool) -> None:
        super().__init__(request, timers, reliable)
        self.state = State.TRYING
        self._last: Response | None = None

    def receive(self, request: Request, now: float) -> list[Effect]:
        """The request has come in again (§17.2.2)."""
        match self.state:
            case State.PROCEEDING | State.COMPLETED if self._last is not None:  # §17.2.2
                return [Send(self._last)]
            case _:  # §17.2.2: TRYING discards retransmissions
                return []

    def respond(self, response: Response, now: float) -> list[Effect]:
        """The TU answers (§17.2.2); after a final response nothing else is sent."""
        match self.state, response.status:
            case State.TRYING | State.PROCEEDING, 100:  # §17.2.2
                self._last = response
                self.state = State.PROCEEDING
                return [Send(response)]
            case State.TRYING | State.PROCEEDING, status if status < 200:  # RFC 4320 §4.1: 100 or nothing
                return []
            case State.TRYING | State.PROCEEDING, 408:  # RFC 4320 §4.2: it would come too late anyway
                self._enter(State.TERMINATED)
                return []
            case State.TRYING | State.PROCEEDING, _:  # §17.2.2; J is zero if reliable
                self._last = response
                if self._reliable:
                    self._enter(State.TERMINATED)
                else:
                    self._enter(State.COMPLETED, "J", now + self._timers.j)
                return [Send(response)]
            case _:  # §17.2.2: COMPLETED discards what the TU adds
                return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now` (§17.2.2)."""
        match self.state:
            case State.COMPLETED if self._fired("J", now):
                self._enter(State.TERMINATED)
                return []
            case _:
                return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The response could not be sent, or its flow is gone (§17.2.4)."""
        if self.terminated:
            return []
        self._enter(State.TERMINATED)
        return [Failed(error)]
