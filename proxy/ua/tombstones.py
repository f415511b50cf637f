"""What is left of a transaction that only waits for what comes late.

Its machine has said its last word; until its last timer (D, I, J, K, L or M) a repeat is absorbed, answered
as before, or passed on (RFC 3261 §17, RFC 6026 §7). Most transactions known at any time are such, so each is
kept small.
"""

from __future__ import annotations

from typing import Protocol

from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.driver import Message, User


class Late(Protocol):
    """Receives what belongs to a transaction that is over."""

    def receive(self, message: Message, /) -> None: ...


class Absorbed:
    """Repeats mean nothing any more (timers I and K)."""

    __slots__ = ()

    def receive(self, message: Message, /) -> None:
        """Drop it."""


class Sends(Protocol):
    """Sends again what was sent before."""

    def emit_again(self, flow: Flow, data: bytes) -> None: ...


class Repeated:
    """A repeat is answered as before: a request by our response (timer J), a refusal by our ACK (timer D)."""

    __slots__ = ("_core", "_flow", "_sent")

    def __init__(self, sent: bytes, flow: Flow, core: Sends) -> None:
        self._sent, self._flow, self._core = sent, flow, core

    def receive(self, message: Message, /) -> None:
        """Send once more what was sent last; a late provisional asks for nothing."""
        if isinstance(message, Request) or message.status >= 300:
            self._core.emit_again(self._flow, self._sent)


class AcceptedByPeer:
    """Every 2xx to our INVITE goes up, repeated or forked (timer M, RFC 6026 §7.2)."""

    __slots__ = ("_user",)

    def __init__(self, user: User) -> None:
        self._user = user

    def receive(self, message: Message, /) -> None:
        """Pass a 2xx up."""
        if isinstance(message, Response) and message.status // 100 == 2:
            self._user.received(message)


class HearsAcks(Protocol):
    """Knows whose ACK one is."""

    def acknowledged(self, ack: Request) -> None: ...


class AcceptedByUs:
    """An INVITE that we answered with 2xx: it is absorbed, an ACK goes up (timer L, RFC 6026 §7.1)."""

    __slots__ = ("_core", "tag")
    answered = True

    def __init__(self, tag: str, core: HearsAcks) -> None:
        self.tag, self._core = tag, core

    def receive(self, message: Message, /) -> None:
        """Pass an ACK up: that of an RFC 2543 peer has the branch of its INVITE."""
        if isinstance(message, Request) and message.method == "ACK":
            self._core.acknowledged(message)

    def cancelled(self, cancel: Request) -> None:
        """Without effect: the final response is out (§9.2)."""


ABSORBED = Absorbed()
