"""Tombstones: what is kept of a transaction that only absorbs retransmissions.

Its state machine is done; until its last timer (D, I, J, K, L or M) a retransmission is absorbed, answered as
before, or passed on (RFC 3261 §17, RFC 6026 §7). At any time most transactions are in this state, so a
tombstone is kept small.
"""

from __future__ import annotations

from typing import Protocol

from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow
from proxy.ua.driver import Message, TransactionUser


class Tombstone(Protocol):
    """Receives messages that match a terminated transaction."""

    def receive(self, message: Message, /) -> None: ...


class Absorber:
    """Absorbs every retransmission (timers I and K)."""

    __slots__ = ()

    def receive(self, message: Message, /) -> None:
        """Drop it."""


class Emitter(Protocol):
    """Sends a message that was sent before."""

    def emit_again(self, flow: Flow, data: bytes) -> None: ...


class Resender:
    """Resends the last message: our response to a request (timer J), or our ACK to a refusal (timer D)."""

    __slots__ = ("_core", "_flow", "_sent")

    def __init__(self, sent: bytes, flow: Flow, core: Emitter) -> None:
        self._sent, self._flow, self._core = sent, flow, core

    def receive(self, message: Message, /) -> None:
        """Resend, unless the message is a late provisional response."""
        if isinstance(message, Request) or message.status >= 300:
            self._core.emit_again(self._flow, self._sent)


class AcceptedByPeer:
    """Passes every 2xx to our INVITE to its user, retransmitted or forked (timer M, RFC 6026 §7.2)."""

    __slots__ = ("_user",)

    def __init__(self, user: TransactionUser) -> None:
        self._user = user

    def receive(self, message: Message, /) -> None:
        """Pass on a 2xx."""
        if isinstance(message, Response) and message.status // 100 == 2:
            self._user.received(message)


class AckReceiver(Protocol):
    """Delivers an ACK to the leg of its dialog."""

    def acknowledged(self, ack: Request) -> None: ...


class AcceptedByUs:
    """An INVITE that we answered with 2xx: absorbs it, passes on an ACK (timer L, RFC 6026 §7.1)."""

    __slots__ = ("_core", "tag")
    answered = True

    def __init__(self, tag: str, core: AckReceiver) -> None:
        self.tag, self._core = tag, core

    def receive(self, message: Message, /) -> None:
        """Pass on an ACK: an RFC 2543 peer reuses the INVITE's branch."""
        if isinstance(message, Request) and message.method == "ACK":
            self._core.acknowledged(message)

    def cancelled(self, cancel: Request) -> None:
        """No effect: the final response has been sent (§9.2)."""


ABSORBER = Absorber()
