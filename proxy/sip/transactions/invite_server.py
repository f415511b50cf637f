"""INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1)."""

from __future__ import annotations

from math import inf

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.message import Request, Response
from proxy.sip.transactions import state
from proxy.sip.transactions.machine import Machine
from proxy.sip.transactions.state import State


class InviteServer(Machine):
    """INVITE server transaction: RFC 3261 Figure 7, as amended by RFC 6026 §7.1 and §8.7.

                    | INVITE, passed to the TU by whoever creates this object
                    V
               PROCEEDING   1xx from TU: send;  INVITE: resend the last 1xx
                |       |
                |       +---2xx from TU: send---> ACCEPTED ------L------> TERMINATED
                |                                    | INVITE: absorbed;  ACK: up
                | 300-699 from TU: send              | 2xx from TU: send
                V
               COMPLETED   G (UDP): resend, G doubles up to T2;  INVITE: resend
                |       |
                |       +---H: TimedOut up---> TERMINATED
                | ACK
                V
               CONFIRMED ---I---> TERMINATED         I is zero on reliable transports

    The TU sends its 100 at once, so the 200 ms clock of §17.2.1 is not needed. It also resends the 2xx
    until the ACK (§13.3.1.4). A transport error ends the transaction: Failed goes up.
    """

    state = State.PROCEEDING
    _last: Response | None = None

    def receive(self, request: Request, now: float) -> list[Effect]:
        """Process a retransmitted INVITE, or an ACK that matches it (§17.2.1)."""
        match self.state, request.method:
            case state.PROCEEDING | state.COMPLETED, "INVITE":  # §17.2.1
                return self._resend()
            case state.COMPLETED, "ACK":  # §17.2.1; I is zero if reliable
                if self._reliable:
                    self._enter(state.TERMINATED)
                else:
                    self._linger(state.CONFIRMED, now, self._timers.i)
                return []
            case state.ACCEPTED, "ACK":  # RFC 6026 §7.1; only an RFC 2543 peer's ACK gets here
                return [Deliver(request)]
            case _:  # RFC 6026 §7.1: ACCEPTED absorbs the INVITE; §17.2.1: CONFIRMED absorbs everything
                return []

    def respond(self, response: Response, now: float) -> list[Effect]:
        """Send a response of the TU (§17.2.1); after a final one, only a repeated 2xx is sent."""
        kind = response.status // 100
        match self.state:
            case state.PROCEEDING if kind == 1:  # §17.2.1
                self._last = response
                return [Send(response)]
            case state.PROCEEDING if kind == 2:  # RFC 6026 §7.1
                self._linger(state.ACCEPTED, now, self._timers.l)
                return [Send(response)]
            case state.ACCEPTED if kind == 2:  # RFC 6026 §7.1: forwarded until the ACK arrives
                return [Send(response)]
            case state.PROCEEDING if kind >= 3:  # §17.2.1
                self._last = response
                self._enter(state.COMPLETED)
                self._interval = inf if self._reliable else self._timers.g
                self._stay(now + self._timers.h, now + self._interval)
                return [Send(response)]
            case _:
                return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now`; a timer that ends the transaction comes before a retransmission."""
        match self.state:
            case state.COMPLETED if self._ends_at <= now:  # §17.2.1
                self._enter(state.TERMINATED)
                return [TimedOut()]
            case state.COMPLETED if self._resend_at <= now:  # §17.2.1: MIN(2*G, T2)
                self._interval = min(2 * self._interval, self._timers.t2)
                self._stay(self._ends_at, now + self._interval)
                return self._resend()
            case state.CONFIRMED if self._ends_at <= now:  # §17.2.1
                self._enter(state.TERMINATED)
                return []
            case state.ACCEPTED if self._ends_at <= now:  # RFC 6026 §7.1
                self._enter(state.TERMINATED)
                return []
            case _:
                return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The response could not be sent, or its flow is gone (§17.2.4).

        RFC 6026 §7.1 would keep the state for a peer that retransmits its INVITE; only a UDP peer does that,
        and with UDP there is no connection to lose.
        """
        if self.terminated:
            return []
        self._enter(state.TERMINATED)
        return [Failed(error)]

    def _resend(self) -> list[Effect]:
        return [Send(self._last)] if self._last is not None else []
