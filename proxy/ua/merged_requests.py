"""Requests that forked on their way and meet again at our door (RFC 3261 §8.2.2.2)."""

from __future__ import annotations

from proxy.sip.message import Request
from proxy.sip.transaction_key import TransactionKey
from proxy.sip.values import tag_of

Origin = tuple[str, str | None, int]
"""Call-ID, From tag and CSeq: the same in every copy of a request."""


class Origins:
    """Which transaction has which origin, as long as the transaction is known."""

    def __init__(self) -> None:
        self._keys: dict[Origin, TransactionKey] = {}
        self._origins: dict[TransactionKey, Origin] = {}

    def first(self, key: TransactionKey, request: Request) -> bool:
        """Take note of a request outside any dialog; False if it has come already, by another way."""
        first = request.headers.first
        origin = first["call-id"], tag_of(first["from"]), request.cseq.number
        if self._keys.setdefault(origin, key) is not key:
            return False
        self._origins[key] = origin
        return True

    def forget(self, key: TransactionKey) -> None:
        """The transaction is over."""
        if (origin := self._origins.pop(key, None)) is not None:
            del self._keys[origin]

    def clear(self) -> None:
        """Forget all."""
        self._keys.clear()
        self._origins.clear()
