"""Gathers what goes over the wire, Call-ID by Call-ID, until the call is over that it belongs to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from proxy.observe.masking import masked
from proxy.observe.trace import Seen
from proxy.sip.message import Request, Response
from proxy.transport.flow import Flow

log = structlog.get_logger("screendoor")

SOON_S = 1.0
"""How long after its end a call's trace is kept: most of what is still to come has come by then."""
LATE_S = 34.0
"""And once more, if there was more: by then the last transaction is over (RFC 3261 §17.1.2.2, Timer F)."""
MAX_OCTETS = 64_000_000
"""Of all calls that are gathered at a time; what begins beyond that is not."""
MAX_MESSAGES = 2000
"""Of one Call-ID; a call of a day with a session timer has some hundred."""
MAX_UNANSWERED = 256
"""INVITEs that we have not said a word to yet: a stranger's never gets one, and there may be any number."""

Keep = Callable[[str, Sequence[Seen]], None]
Legs = Iterable[tuple[str, Sequence[str]]]
"""The name of each leg, and its Call-IDs."""


@dataclass(slots=True)
class _Dialog:
    """What is known by one Call-ID."""

    messages: list[Seen] = field(default_factory=list)
    refused: bool = False
    """We refused its INVITE, and have taken no other since."""


@dataclass(slots=True)
class _Over:
    """A call that is over, while more of its messages may come."""

    call: str
    legs: dict[str, str]
    """The names of its legs, by their Call-IDs."""
    kept: int = 0
    """Messages by now."""


class Capture:
    """To be added to the traces of a `UserAgentCore`; on its event loop."""

    def __init__(self, keep: Keep, clock: Callable[[], float] = time.time) -> None:
        """`keep` is given the name of a call and its messages in their order; once more, if more come."""
        self._keep, self._clock = keep, clock
        self._dialogs: dict[str, _Dialog] = {}
        self._unanswered: dict[str, Seen] = {}
        self._over: dict[str, _Over] = {}
        self._octets, self._full = 0, False

    def __call__(self, direction: str, flow: Flow, message: Request | Response) -> None:
        """One message, `<` received or `>` sent."""
        call_id, sent = message.call_id, direction == ">"
        dialog = self._dialogs.get(call_id) or self._begun(call_id, sent, message)
        if dialog is None:
            if not sent and _begins(message):
                self._unanswered.setdefault(call_id, self._seen(sent, flow, message))
                if len(self._unanswered) > MAX_UNANSWERED:
                    del self._unanswered[next(iter(self._unanswered))]
            return
        if len(dialog.messages) < MAX_MESSAGES:
            self._add(dialog, self._seen(sent, flow, message))
        if not sent or message.cseq.method != "INVITE":
            return
        if not _refuses(message):
            dialog.refused = False
        elif not dialog.refused:
            dialog.refused = True  # perhaps there never was a call of it
            asyncio.get_running_loop().call_later(LATE_S, self._forget_refused, call_id)

    def over(self, call: str, legs: Legs) -> None:
        """A call is over: its messages are kept, and let go."""
        over = _Over(call, {call_id: name for name, call_ids in legs for call_id in call_ids})
        self._over[call] = over
        loop = asyncio.get_running_loop()
        loop.call_later(SOON_S, self._keep_what_came, over)
        loop.call_later(LATE_S, self._let_go, over)

    def close(self) -> None:
        """Keep what has come by now of calls that are over."""
        for over in list(self._over.values()):
            self._let_go(over)

    def _begun(self, call_id: str, sent: bool, message: Request | Response) -> _Dialog | None:
        """One that begins with our INVITE, or our first word to a peer's."""
        first = self._unanswered.pop(call_id, None) if sent else None
        if (first is None and not (sent and _begins(message))) or self._is_full():
            return None
        dialog = self._dialogs[call_id] = _Dialog()
        if first is not None:
            self._add(dialog, first)
        return dialog

    def _seen(self, sent: bool, flow: Flow, message: Request | Response) -> Seen:
        octets = masked(message.encode())
        return Seen(self._clock(), "", sent, flow.transport, flow.local, flow.remote, octets)

    def _add(self, dialog: _Dialog, seen: Seen) -> None:
        dialog.messages.append(seen)
        self._octets += len(seen.octets)

    def _keep_what_came(self, over: _Over) -> None:
        messages = [
            replace(seen, leg=name)
            for call_id, name in over.legs.items()
            if (dialog := self._dialogs.get(call_id)) is not None
            for seen in dialog.messages
        ]
        if len(messages) > over.kept:
            over.kept = len(messages)
            self._keep(over.call, sorted(messages, key=lambda seen: seen.at))

    def _let_go(self, over: _Over) -> None:
        if self._over.pop(over.call, None) is not None:
            self._keep_what_came(over)
            for call_id in over.legs:
                self._forget(call_id)

    def _forget_refused(self, call_id: str) -> None:
        """Unless a call that is over still has it, or it was tried again, with credentials, say."""
        held = any(call_id in over.legs for over in self._over.values())
        if not held and (dialog := self._dialogs.get(call_id)) is not None and dialog.refused:
            self._forget(call_id)

    def _forget(self, call_id: str) -> None:
        if (dialog := self._dialogs.pop(call_id, None)) is not None:
            self._octets -= sum(len(seen.octets) for seen in dialog.messages)

    def _is_full(self) -> bool:
        full = self._octets > MAX_OCTETS
        if full and not self._full:
            log.warning("SIP of new calls not kept", why=f"that of calls going on has {MAX_OCTETS} octets")
        self._full = full
        return full


def _begins(message: Request | Response) -> bool:
    return isinstance(message, Request) and message.method == "INVITE" and message.to_tag is None


def _refuses(message: Request | Response) -> bool:
    return isinstance(message, Response) and message.status >= 300 and message.cseq.method == "INVITE"
