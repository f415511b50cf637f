"""Admission control: how many requests are accepted at once, and how long the others should wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.sip.message import Request
from proxy.sip.transaction_key import invite_key_of
from proxy.transport.flow import Flow
from proxy.ua.authenticated_peers import Doors
from proxy.ua.ids import Ids
from proxy.ua.transaction_table import TransactionTable

if TYPE_CHECKING:
    from proxy.ua.transactions import ServerTransaction

MAX_TRANSACTIONS = 20_000
"""Live server transactions, at about 6 kB each."""
MAX_LATE = 200_000
"""Those and the tombstones, at about 1 kB each: over UDP each is kept for 32 s."""
IDLE = ("OPTIONS", "INFO", "MESSAGE", "UPDATE", "NOTIFY")
"""Methods that an established call can do without for a while."""
OVERLOADED_S = (15.0, 45.0)
"""Range of the random Retry-After for requests beyond these limits, in seconds."""


class Room:
    """Admission control for the server transactions of one core."""

    def __init__(
        self,
        servers: TransactionTable[ServerTransaction],
        doors: Doors,
        sheds: Callable[[Flow], int | None],
        ids: Ids,
    ) -> None:
        """`sheds` returns the Retry-After with which to refuse a new call unseen, or None to accept it."""
        self._servers, self._doors, self.sheds, self._ids = servers, doors, sheds, ids

    def wait_s(self, request: Request, flow: Flow) -> int | None:
        """Seconds that a request not yet accepted should wait; None if it is accepted now."""
        method, known = request.method, len(self._servers)
        if method == "CANCEL" and self._servers.get(invite_key_of(request)) is not None:
            return None
        if known >= min(MAX_TRANSACTIONS, MAX_LATE // 2):  # below that every request is accepted
            # Half of the capacity is reserved for calls.
            most = MAX_LATE if method in ("INVITE", "BYE") else MAX_LATE // 2
            if known >= most or self._servers.live_count >= MAX_TRANSACTIONS:
                return round(self._ids.uniform(*OVERLOADED_S))
        return self.sheds(flow) if method == "INVITE" and not self._doors.unproven(request, flow) else None
