"""Negotiation: whose turn it is to offer and to answer (RFC 3264 §4, RFC 3261 §14)."""

from __future__ import annotations

from proxy.sip.errors import SipError

RETRY_AFTER_RANGE = (0, 10)
"""Seconds for the Retry-After that goes with a 500, chosen at random within (§14.2)."""


class OfferPending(SipError):
    """An offer of either end awaits its answer: ours has to wait (RFC 3264 §4)."""


class Negotiation:
    """The offers and answers of one session; at most one offer stands open at a time.

                  offer()                    offered() -> None
        LOCAL <------------- STABLE ---------------------------> REMOTE
          |                   ^  ^                                  |
          +--answered() or ---+  +------- answered() or ------------+
             refused()                    refused()

        offer() in LOCAL or REMOTE raises; offered() is 491 in LOCAL (glare) and 500 in REMOTE.

    An answer may travel in a 1xx, 2xx or ACK, so the owner says when it came or went. That no INVITE of
    ours may start before the ACK for our 2xx (§14.1) is seen from `Acceptance.terminated`.
    """

    def __init__(self, call_id_owner: bool) -> None:
        self.call_id_owner = call_id_owner
        """Whether we made the Call-ID, that is, sent the first INVITE."""
        self.local_offer_open = False
        """Our offer awaits the peer's answer."""
        self.remote_offer_open = False
        """The peer's offer awaits our answer."""

    @property
    def retry_range(self) -> tuple[float, float]:
        """Seconds to wait after a 491 before offering again, chosen at random within (§14.1)."""
        return (2.1, 4.0) if self.call_id_owner else (0.0, 2.0)

    def offer(self) -> None:
        """We send an offer; raises OfferPending while one is open (RFC 3264 §4)."""
        if self.local_offer_open:
            raise OfferPending("our offer is not answered yet")
        if self.remote_offer_open:
            raise OfferPending("the peer's offer is not answered yet")
        self.local_offer_open = True

    def offered(self) -> int | None:
        """The peer offers: the status that refuses it, or None when it is ours to answer (§14.2)."""
        if self.local_offer_open:
            return 491  # glare: both ends wait, each its own time, and one tries again
        if self.remote_offer_open:
            return 500  # with Retry-After
        self.remote_offer_open = True
        return None

    def answered(self) -> None:
        """The open offer has its answer, ours or theirs."""
        self._close()

    def refused(self) -> None:
        """The open offer was refused or taken back: the session stays as it was before it (§14.1).

        Not for an offer that `offered()` told us to refuse: that one never stood open.
        """
        self._close()

    def _close(self) -> None:
        self.local_offer_open = self.remote_offer_open = False
