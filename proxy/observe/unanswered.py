"""Holds the first messages of INVITEs that are not accepted as calls yet; most never are."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.observe.trace import TracedMessage

MAX_CALL_IDS = 256
"""Limit to the Call-IDs that are held: a stranger's is never answered, and there may be any number."""
MAX_OCTETS = 1_000_000
"""Limit to what is held for all of them together."""
MAX_MESSAGES = 8
"""Limit per Call-ID: an INVITE, our challenge, its ACK, the INVITE with credentials, and retransmissions."""


class UnansweredInvites:
    """The messages of each such Call-ID. Beyond a limit the Call-ID that came first is dropped."""

    def __init__(self) -> None:
        self._messages: dict[str, list[TracedMessage]] = {}
        self._octets = 0

    def __len__(self) -> int:
        """How many Call-IDs are held."""
        return len(self._messages)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._messages

    def add(self, call_id: str, traced: TracedMessage) -> None:
        """Hold one more message."""
        messages = self._messages.setdefault(call_id, [])
        if len(messages) >= MAX_MESSAGES:
            return
        messages.append(traced)
        self._octets += len(traced.octets)
        while self._messages and (len(self._messages) > MAX_CALL_IDS or self._octets > MAX_OCTETS):
            self.take(next(iter(self._messages)))

    def take(self, call_id: str) -> Sequence[TracedMessage]:
        """Hand over the messages of a Call-ID, the oldest first; empty if none are held."""
        messages = self._messages.pop(call_id, [])
        self._octets -= sum(len(traced.octets) for traced in messages)
        return messages
