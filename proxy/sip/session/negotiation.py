"""Negotiation: the offer/answer state of a session (RFC 3264 §4, RFC 3261 §14)."""

from __future__ import annotations

from proxy.sip.errors import SipError

RETRY_AFTER_RANGE = (0, 10)
"""Range of the Retry-After of a 500, in seconds, to choose from at random (§14.2)."""


class OfferPending(SipError):
    """We may not send an offer now: one of either end is still unanswered (RFC 3264 §4)."""


class Negotiation:
    """Offers and answers of one session; at most one offer is open at a time.

                  offer()                    offered() -> None
        LOCAL <------------- STABLE ---------------------------> REMOTE
          |                   ^  ^                                  |
          +--answered() or ---+  +------- answered() or ------------+
             refused()                    refused()

        offer() in LOCAL or REMOTE raises; offered() is 491 in LOCAL (glare) and 500 in REMOTE.

    An answer may be in a 1xx, 2xx or ACK, so the owner reports when one was sent or received. It also checks
    `Acceptance.terminated`: no INVITE of ours may start before the ACK for our 2xx (§14.1).
    """

    def __init__(self, call_id_owner: bool) -> None:
        self.call_id_owner = call_id_owner
        """Whether we generated the Call-ID, that is, sent the first INVITE."""
        self.local_offer_open = False
        """Our offer awaits the peer's answer."""
        self.remote_offer_open = False
        """The peer's offer awaits our answer."""

    @property
    def retry_range(self) -> tuple[float, float]:
        """Range of the delay before offering again after a 491, in seconds; choose at random (§14.1)."""
        return (2.1, 4.0) if self.call_id_owner else (0.0, 2.0)

    def offer(self) -> None:
        """We send an offer; raises OfferPending while one is open (RFC 3264 §4)."""
        if self.local_offer_open:
            raise OfferPending("our offer is not answered yet")
        if self.remote_offer_open:
            raise OfferPending("the peer's offer is not answered yet")
        self.local_offer_open = True

    def offered(self) -> int | None:
        """The peer sent an offer: the status to reject it with, or None if we have to answer it (§14.2)."""
        if self.local_offer_open:
            return 491  # glare: each end waits a random time before it tries again
        if self.remote_offer_open:
            return 500  # with Retry-After
        self.remote_offer_open = True
        return None

    def answered(self) -> None:
        """The open offer was answered, by us or by the peer."""
        self._close()

    def refused(self) -> None:
        """The open offer was rejected or withdrawn: the session stays as before (§14.1).

        Not for an offer that `offered()` rejected: that one was never open.
        """
        self._close()

    def _close(self) -> None:
        self.local_offer_open = self.remote_offer_open = False
