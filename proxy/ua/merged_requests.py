"""Merged requests: copies of one request that reach us over different paths (RFC 3261 §8.2.2.2)."""

from __future__ import annotations

from proxy.sip.message import Request
from proxy.sip.transaction_key import TransactionKey
from proxy.sip.values import tag_of

RequestIdentity = tuple[str, str | None, int]
"""Call-ID, From tag and CSeq number: the same in every copy."""


class MergedRequests:
    """Maps these to the transaction of the first copy, for as long as it is known."""

    def __init__(self) -> None:
        self._keys: dict[RequestIdentity, TransactionKey] = {}
        self._identities: dict[TransactionKey, RequestIdentity] = {}

    def is_first(self, key: TransactionKey, request: Request) -> bool:
        """Record a request outside any dialog; False if another copy has already arrived."""
        first = request.headers.first
        identity = first["call-id"], tag_of(first["from"]), request.cseq.number
        if self._keys.setdefault(identity, key) is not key:
            return False
        self._identities[key] = identity
        return True

    def forget(self, key: TransactionKey) -> None:
        """The transaction has ended."""
        if (identity := self._identities.pop(key, None)) is not None:
            del self._keys[identity]

    def clear(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._identities.clear()
