"""State machines of an INVITE session, without I/O (RFC 3261 §13, §14; RFC 3262; RFC 3264; RFC 4028)."""

from proxy.sip.session.acceptance import Acceptance
from proxy.sip.session.negotiation import RETRY_AFTER_RANGE, Negotiation, OfferPending
from proxy.sip.session.reliable import RAck, ReliableProvisionals, ReliableReceipts
from proxy.sip.session.timer import INTERVAL, Expired, Refresh, SessionTimer

__all__ = [
    "INTERVAL",
    "RETRY_AFTER_RANGE",
    "Acceptance",
    "Expired",
    "Negotiation",
    "OfferPending",
    "RAck",
    "Refresh",
    "ReliableProvisionals",
    "ReliableReceipts",
    "SessionTimer",
]
