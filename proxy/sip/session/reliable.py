"""Reliable provisional responses: RAck, and the state machines of both ends (RFC 3262)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from proxy.sip.effects import Effect, Failed, Send, TimedOut
from proxy.sip.grammar import WHITESPACE, number
from proxy.sip.message import Response
from proxy.sip.timers import Timers
from proxy.sip.values import CSeq

OPTION = "100rel"
"""The option tag (§8.1)."""

MAX_RSEQ = 2**32 - 1
"""§7.1: an RSeq number has 32 bits."""


@dataclass(frozen=True, slots=True)
class RAck:
    """The response that a PRACK acknowledges (§7.2)."""

    rseq: int
    cseq: CSeq

    @classmethod
    def parse(cls, text: str | None) -> RAck:
        """From a header value; raises ParseError, also for None (no such header)."""
        rseq, _, cseq = (text or "").strip(WHITESPACE).replace("\t", " ").partition(" ")
        return cls(number(rseq, "RAck", MAX_RSEQ), CSeq.parse(cseq))

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq}"


class ReliableProvisionals:
    """Our reliable provisional responses to one INVITE, one at a time (§3).

                respond(1xx)
        IDLE --------------------> SENT --- PRACK ---> IDLE, or SENT with the next one queued
          |                         | T1, 2*T1, 4*T1 ...: send again, with no upper bound
          |                         +---64*T1: TimedOut up ---> over    the TU then rejects the INVITE (5xx)
          | final()                 | final()
          V                         V
        over                      AWAITED ---PRACK, or 64*T1---> over   nothing more is sent (§3)

    Each `Send` goes through the INVITE server transaction.
    """

    linger_s = 0.0

    def __init__(self, rseq: int, timers: Timers) -> None:
        """`rseq`: number of the first response, chosen at random from 1 to 2**31 - 1 (§3)."""
        self._rseq, self._timers = rseq, timers
        self._sent: Response | None = None
        self._waiting: deque[Response] = deque()
        self._interval = self._give_up_at = 0.0
        self._resend_at: float | None = None
        self._final = False

    @property
    def deadline(self) -> float | None:
        """When `expire` is next due; None unless a PRACK is awaited."""
        if self._sent is None:
            return None
        return self._give_up_at if self._resend_at is None else min(self._resend_at, self._give_up_at)

    @property
    def terminated(self) -> bool:
        """True once the INVITE has its final response and no PRACK is awaited."""
        return self._final and self._sent is None

    @property
    def has_description(self) -> bool:
        """Whether the unacknowledged response has a session description: no 2xx before its PRACK (§3)."""
        return self._sent is not None and bool(self._sent.body)

    def respond(self, response: Response, now: float) -> list[Effect]:
        """Send a 101-199 reliably, now or once those before it are acknowledged (§3)."""
        if self._final:  # §3: no new one after the final response
            return []
        self._waiting.append(response)
        return self._next(now)

    def acknowledges(self, rack: RAck) -> bool:
        """Whether this RAck matches the awaited PRACK; the TU answers any other with 481 (§3)."""
        return self._sent is not None and rack == RAck(self._rseq - 1, self._sent.cseq)

    def acknowledged(self, now: float) -> list[Effect]:
        """The awaited PRACK has arrived."""
        self._sent = None
        return self._next(now)

    def final(self, now: float) -> list[Effect]:
        """The INVITE got its final response: stop retransmitting, but still accept a late PRACK (§3)."""
        self._final = True
        self._waiting.clear()
        self._resend_at = None
        return []

    def expire(self, now: float) -> list[Effect]:
        """Do what is due at `now`."""
        if self._sent is None:
            return []
        if self._give_up_at <= now:
            self._sent = None
            if self._final:
                return []
            self._final = True
            return [TimedOut()]
        if self._resend_at is not None and self._resend_at <= now:
            self._interval *= 2
            self._resend_at = now + self._interval
            return [Send(self._sent)]
        return []

    def fail(self, error: Exception, now: float) -> list[Effect]:
        """The transport failed: the response can no longer be sent."""
        if self.terminated:
            return []
        self._sent, self._final = None, True
        return [Failed(error)]

    def _next(self, now: float) -> list[Effect]:
        if self._sent is not None or not self._waiting:
            return []
        self._sent = self._waiting.popleft()
        self._sent.headers.add("Require", OPTION)
        self._sent.headers.add("RSeq", str(self._rseq))
        self._rseq += 1
        self._interval = self._timers.t1
        self._resend_at = now + self._interval
        self._give_up_at = now + 64 * self._timers.t1
        return [Send(self._sent)]


class ReliableReceipts:
    """The peer's reliable provisional responses to one INVITE of ours: which of them to process (§4).

    In each early dialog the first response sets the number, and each later one must be the next in sequence.
    Repeated and out-of-order responses are neither acknowledged nor processed.
    """

    def __init__(self) -> None:
        self._last: dict[str | None, int] = {}
        """The last RSeq accepted, by To tag."""

    def take(self, response: Response) -> RAck | None:
        """The RAck of the PRACK to send for this response; None if it must not be. Raises ParseError."""
        rseq = number((response.headers.get("RSeq") or "").strip(WHITESPACE), "RSeq", MAX_RSEQ)
        last = self._last.get(response.to_tag)
        if last is not None and rseq != last + 1:
            return None
        self._last[response.to_tag] = rseq
        return RAck(rseq, response.cseq)


def reliable(response: Response) -> bool:
    """Whether this is a reliable provisional response, which requires a PRACK (§4)."""
    if not 100 < response.status < 200 or "require" not in response.headers.first:
        return False
    return any(option.lower() == OPTION for option in response.headers.split("Require"))
