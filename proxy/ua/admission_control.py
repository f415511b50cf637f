"""Admission control: how many requests are accepted at once, and how long the others should wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.message import Request
from proxy.sip.transaction_key import invite_key_of
from proxy.transport.flow import Flow
from proxy.ua.authenticated_peers import AuthenticatedPeers
from proxy.ua.ids import Ids
from proxy.ua.transaction_table import TransactionTable

if TYPE_CHECKING:
    from proxy.ua.transactions import ServerTransaction

MAX_TRANSACTIONS = 20_000
"""Live server transactions, at about 6 kB each."""
MAX_KNOWN = 200_000
"""Those and the tombstones, at about 1 kB each: over UDP each is kept for 32 s."""
DEFERRABLE = ("OPTIONS", "INFO", "MESSAGE", "UPDATE", "NOTIFY")
"""Methods that an established call can do without for a while."""
RETRY_AFTER_S = (15.0, 45.0)
"""Range of the random Retry-After for requests beyond these limits, in seconds."""


class AdmissionControl:
    """Admission control for the server transactions of one core."""

    def __init__(
        self,
        servers: TransactionTable[ServerTransaction],
        peers: AuthenticatedPeers,
        overload_wait_s: Callable[[Flow], int | None],
        ids: Ids,
    ) -> None:
        """`overload_wait_s`: the Retry-After with which to refuse a new call unseen; None accepts it."""
        self._servers, self._peers, self._ids = servers, peers, ids
        self.overload_wait_s = overload_wait_s

    def wait_s(self, request: Request, flow: Flow) -> int | None:
        """Seconds that a request not yet accepted should wait; None if it is accepted now."""
        method, known = request.method, len(self._servers)
        if method == "CANCEL" and self._servers.get(invite_key_of(request)) is not None:
            return None
        if known >= min(MAX_TRANSACTIONS, MAX_KNOWN // 2):  # below that every request is accepted
            # Half of the capacity is reserved for calls.
            limit = MAX_KNOWN if method in ("INVITE", "BYE") else MAX_KNOWN // 2
            if known >= limit or self._servers.live_count >= MAX_TRANSACTIONS:
                return round(self._ids.uniform(*RETRY_AFTER_S))
        if method != "INVITE" or self._peers.lacks_credentials(request, flow):
            return None
        return self.overload_wait_s(flow)
