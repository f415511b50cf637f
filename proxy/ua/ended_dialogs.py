"""Recently ended dialogs: a request that crossed the end of one gets 481 (RFC 5407 §3.2)."""

from __future__ import annotations

from proxy.sip.dialog import DialogId

MAX_REMEMBERED = 2_000
"""How many are remembered, at about 0.4 kB each."""


class EndedDialogs:
    """The most recent ones, oldest first."""

    def __init__(self) -> None:
        self._ended: dict[DialogId, None] = {}

    def __contains__(self, dialog: DialogId) -> bool:
        return dialog in self._ended

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, dialog: DialogId) -> None:
        """Add one, dropping the oldest if there are too many."""
        self._ended[dialog] = None
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]
