"""Merged requests: copies of one request that reach us over different paths (RFC 3261 §8.2.2.2)."""

from __future__ import annotations

from proxy.sip.message import Request
from proxy.sip.transaction_key import TransactionKey
from proxy.sip.values import tag_of

Origin = tuple[str, str | None, int]
"""Call-ID, From tag and CSeq number: the same in every copy."""


class Origins:
    """Maps these to the transaction of the first copy, for as long as it is known."""

    def __init__(self) -> None:
        self._keys: dict[Origin, TransactionKey] = {}
        self._origins: dict[TransactionKey, Origin] = {}

    def first(self, key: TransactionKey, request: Request) -> bool:
        """Record a request outside any dialog; False if another copy has already arrived."""
        first = request.headers.first
        origin = first["call-id"], tag_of(first["from"]), request.cseq.number
        if self._keys.setdefault(origin, key) is not key:
            return False
        self._origins[key] = origin
        return True

    def forget(self, key: TransactionKey) -> None:
        """The transaction has ended."""
        if (origin := self._origins.pop(key, None)) is not None:
            del self._keys[origin]

    def clear(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._origins.clear()
