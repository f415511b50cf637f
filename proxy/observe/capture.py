"""Captures SIP messages by Call-ID, shows those of a call in progress, and hands them over when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from proxy.observe.masking import masked
from proxy.observe.trace import TracedMessage
from proxy.observe.unanswered import UnansweredInvites
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow

log = structlog.get_logger("screendoor")

SOON_S = 1.0
"""How long after the end of a call its trace is stored: by then most late messages have come."""
LATE_S = 34.0
"""When it is stored again, if more came: by then every transaction is over (RFC 3261 §17.1.2.2, Timer F)."""
MAX_OCTETS = 64_000_000
"""Limit to what is held for all calls together; new calls beyond it are not captured."""
MAX_MESSAGES = 2000
"""Limit per Call-ID; a call that lasts a day has some hundred, by its session timer."""

Keep = Callable[[str, Sequence[TracedMessage]], None]
Legs = Iterable[tuple[str, Sequence[str]]]
"""The name of each leg, and its Call-IDs."""


@dataclass(slots=True)
class _CapturedDialog:
    """The messages of one Call-ID."""

    messages: list[TracedMessage] = field(default_factory=list)
    refused: bool = False
    """Whether we refused its INVITE, and have accepted no other since."""


@dataclass(slots=True)
class _EndedCall:
    """A call that has ended, but may still get messages."""

    call: str
    legs: dict[str, str]
    """The names of its legs by Call-ID."""
    kept: int = 0
    """How many of its messages have been stored."""


class Capture:
    """A trace callback for a `UserAgentCore`, to be used on its event loop."""

    def __init__(self, keep: Keep, clock: Callable[[], float] = time.time) -> None:
        """`keep` is called with a call's name and its messages in order; again if more messages come."""
        self._keep, self._clock = keep, clock
        self._dialogs: dict[str, _CapturedDialog] = {}
        self._unanswered = UnansweredInvites()
        self._over: dict[str, _EndedCall] = {}
        self._octets, self._full = 0, False

    def __call__(self, direction: str, flow: Flow, message: Request | Response) -> None:
        """Capture one message; `direction` is `<` received or `>` sent."""
        call_id, sent = message.call_id, direction == ">"
        dialog = self._dialogs.get(call_id) or self._begin_dialog(call_id, sent, message)
        if dialog is None:
            if self._may_become_call(call_id, sent, message):
                self._unanswered.add(call_id, self._traced(sent, flow, message))
            return
        if len(dialog.messages) < MAX_MESSAGES:
            self._add(dialog, self._traced(sent, flow, message))
        if not sent or message.cseq.method != "INVITE":
            return
        if not _is_refusal(message):
            dialog.refused = False
        elif not dialog.refused:
            dialog.refused = True  # it may never become a call
            asyncio.get_running_loop().call_later(LATE_S, self._forget_refused, call_id)

    def over(self, call: str, legs: Legs) -> None:
        """A call is over: store its messages, and release them once no more can come."""
        over = _EndedCall(call, {call_id: name for name, call_ids in legs for call_id in call_ids})
        self._over[call] = over
        loop = asyncio.get_running_loop()
        loop.call_later(SOON_S, self._store_messages, over)
        loop.call_later(LATE_S, self._finish, over)

    def so_far(self, legs: Legs) -> list[TracedMessage]:
        """What has come for the legs of a call in progress."""
        return self._messages({call_id: name for name, call_ids in legs for call_id in call_ids})

    def just_over(self, call: str) -> list[TracedMessage]:
        """What has come for a call that is over but not yet complete; empty for any other."""
        over = self._over.get(call)
        return [] if over is None else self._messages(over.legs)

    def close(self) -> None:
        """Store at once what has come for calls that are over."""
        for over in list(self._over.values()):
            self._finish(over)

    def _begin_dialog(self, call_id: str, sent: bool, message: Request | Response) -> _CapturedDialog | None:
        """Begin capturing a Call-ID: at our own INVITE, or at our first response to a peer's.

        A challenge is no such response: whoever gets it may be a stranger, and never send credentials.
        """
        if not sent or _is_challenge(message):
            return None
        before = self._unanswered.take(call_id)
        if not (before or _is_initial_invite(message)) or self._is_full():
            return None
        dialog = self._dialogs[call_id] = _CapturedDialog()
        for traced in before:
            self._add(dialog, traced)
        return dialog

    def _may_become_call(self, call_id: str, sent: bool, message: Request | Response) -> bool:
        """Whether to hold a message that is of no captured dialog: an INVITE, our challenge, or its ACK."""
        return (not sent and _is_initial_invite(message)) or (
            call_id in self._unanswered and message.cseq.method in ("INVITE", "ACK")
        )

    def _traced(self, sent: bool, flow: Flow, message: Request | Response) -> TracedMessage:
        octets = masked(message.encode())
        return TracedMessage(self._clock(), "", sent, flow.transport, flow.local, flow.remote, octets)

    def _add(self, dialog: _CapturedDialog, traced: TracedMessage) -> None:
        dialog.messages.append(traced)
        self._octets += len(traced.octets)

    def _messages(self, legs: Mapping[str, str]) -> list[TracedMessage]:
        """The messages of these Call-IDs, each mapped to the name of its leg, in their order."""
        messages = [
            replace(traced, leg=name)
            for call_id, name in legs.items()
            if (dialog := self._dialogs.get(call_id)) is not None
            for traced in dialog.messages
        ]
        return sorted(messages, key=lambda traced: traced.at)

    def _store_messages(self, over: _EndedCall) -> None:
        messages = self._messages(over.legs)
        if len(messages) > over.kept:
            over.kept = len(messages)
            self._keep(over.call, messages)

    def _finish(self, over: _EndedCall) -> None:
        if self._over.pop(over.call, None) is not None:
            self._store_messages(over)
            for call_id in over.legs:
                self._forget(call_id)

    def _forget_refused(self, call_id: str) -> None:
        """Release a refused Call-ID, unless an ended call owns it, or its INVITE was retried and accepted."""
        held = any(call_id in over.legs for over in self._over.values())
        if not held and (dialog := self._dialogs.get(call_id)) is not None and dialog.refused:
            self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        if (dialog := self._dialogs.pop(call_id, None)) is not None:
            self._octets -= sum(len(traced.octets) for traced in dialog.messages)

    def _is_full(self) -> bool:
        full = self._octets > MAX_OCTETS
        if full and not self._full:
            log.warning("SIP of new calls not kept", why=f"that of calls going on has {MAX_OCTETS} octets")
        self._full = full
        return full


def _is_initial_invite(message: Request | Response) -> bool:
    return isinstance(message, Request) and message.method == "INVITE" and message.to_tag is None


def _is_challenge(message: Request | Response) -> bool:
    return isinstance(message, Response) and message.status == 401 and message.cseq.method == "INVITE"


def _is_refusal(message: Request | Response) -> bool:
    return isinstance(message, Response) and message.status >= 300 and message.cseq.method == "INVITE"
