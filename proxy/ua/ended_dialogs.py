"""Dialogs that ended lately: what still comes in one crossed its end, and is owed 481 (RFC 5407 §3.2)."""

from __future__ import annotations

from proxy.sip.dialog import DialogId

MAX_LATELY = 2_000
"""So many are remembered, at some 0.4 kB each."""


class Lately:
    """The last of them, in the order of their end."""

    def __init__(self) -> None:
        self._ended: dict[DialogId, None] = {}

    def __contains__(self, dialog: DialogId) -> bool:
        return dialog in self._ended

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, dialog: DialogId) -> None:
        """One more; the oldest makes room for it."""
        self._ended[dialog] = None
        if len(self._ended) > MAX_LATELY:
            del self._ended[next(iter(self._ended))]
