"""INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2)."""

from __future__ import annotations

from math import inf

from proxy.sip.effects import Deliver, Effect, Failed, Send, TimedOut
from proxy.sip.message import Response
from proxy.sip.transactions import state
from proxy.sip.transactions.hop import ack_for
from proxy.sip.transactions.machine import Machine
from proxy.sip.transactions.state import State


class InviteClient(Machine):
    """INVITE client transaction: RFC 3261 Figure 5, as amended by RFC 6026 §7.2 and §8.4.

                   | INVITE from TU: send it; start B (and A on UDP)
                   V
               CALLING ----1xx----> PROCEEDING ---2xx--> ACCEPTED ---M---> TERMINATED
               |  |  A: resend, A doubles  |  1xx up         | 2xx: every one goes up
               |  |                        |
               |  +---2xx--> ACCEPTED      +---300-699---+
               |                                         V
               +--------------300-699-------------> COMPLETED ------D----> TERMINATED
               |                     ACK, then up        | 300-699: ACK again, not up
               B: TimedOut up --> TERMINATED             | transport error: Failed up --> TERMINATED

    After `cancelled()`, a PROCEEDING transaction that gets no final response for 64*T1 ends with TimedOut
    (§9.1). The ACK for a 2xx is sent by the dialog, not by this machine.
    """

    state = State.CALLING

    def start(self, now: float) -> list[Effect]:
        """Send the INVITE (§17.1.1.2)."""
        self._interval = inf if self._reliable else self._timers.a
        self._stay(now + self._timers.b, now + self._interval)
        return [Send(self.request)]

    def receive(self, response: Response, now: float) -> list[Effect]:
        """Process a response that matches this transaction (§17.1.1.2)."""
        kind = response.status // 100
        match self.state:
            case state.CALLING if kind == 1:  # §17.1.1.2: neither A nor B runs any more
                self._enter(state.PROCEEDING)
                return [Deliver(response)]
            case state.PROCEEDING if kind == 1:  # §17.1.1.2: "any further [...] MUST be passed up"
                return [Deliver(response)]
            case state.CALLING | state.PROCEEDING if kind == 2:  # RFC 6026 §7.2
                self._linger(state.ACCEPTED, now, self._timers.m)
                return [Deliver(response)]
            case state.ACCEPTED if kind == 2:  # RFC 6026 §7.2: repeated or forked, every 2xx goes up
                return [Deliver(response)]
            case state.CALLING | state.PROCEEDING if kind >= 3:  # §17.1.1.2; D is zero if reliable
                if self._reliable:
                    self._enter(state.TERMINATED)
                else:
                    self._linger(state.COMPLETED, now, self._timers.d)
                return [Send(ack_for(self.request, response)), Deliver(response)]
            case state.COMPLETED if kind >= 3:  # §17.1.1.2: acknowledged again, not delivered again
                return [Send(ack_for(self.request, response))]
            case _:
                return []

    def cancelled(self, now: float) -> list[Effect]:
        """A CANCEL for this INVITE has been sent: wait 64*T1 for the final response (§9.1)."""
        if self.state is state.PROCEEDING:
            self._stay(now + 64 * self._timers.t1)
        return []

    def abandoned(self) -> list[Effect]:
        """Stop retransmitting: the INVITE was sent to another target (RFC 3263 §4.3)."""
        if self.state is state.CALLING:
            self._stay(self._ends_at)
        return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now`; a timer that ends the transaction comes before a retransmission."""
        match self.state:
            case state.CALLING if self._ends_at <= now:  # §17.1.1.2
                self._enter(state.TERMINATED)
                return [TimedOut()]
            case state.CALLING if self._resend_at <= now:  # §17.1.1.2: 2*T1, 4*T1, 8*T1 ... without a cap
                self._interval *= 2
                self._stay(self._ends_at, now + self._interval)
                return [Send(self.request)]
            case state.PROCEEDING if self._ends_at <= now:  # §9.1
                self._enter(state.TERMINATED)
                return [TimedOut()]
            case state.COMPLETED if self._ends_at <= now:  # §17.1.1.2
                self._enter(state.TERMINATED)
                return []
            case state.ACCEPTED if self._ends_at <= now:  # RFC 6026 §7.2
                self._enter(state.TERMINATED)
                return []
            case _:
                return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The transport failed (§17.1.4).

        An ACCEPTED transaction stays: it sends nothing, and the call may go on over another flow.
        """
        match self.state:
            case state.ACCEPTED | state.TERMINATED:  # RFC 6026 Figure 5: no transport error leaves Accepted
                return []
            case _:
                self._enter(state.TERMINATED)
                return [Failed(error)]
