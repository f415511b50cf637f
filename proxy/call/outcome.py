"""How calls end, and how failures map to SIP statuses and to news for the agent."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache

from proxy.sip.errors import SipError
from proxy.sip.reason import blocked_by_network
from proxy.transport.flow import TransportFailed
from proxy.ua.errors import LegEnded, LimitReached, OfferRefused, Rejected, TransactionTimeout
from proxy.ua.reason import EndReason
from screening.contract import News


class NotRegistered(SipError):
    """A phone has no registered contact; treated as a 480."""

    status = 480


class NotConfirmed(SipError):
    """A phone was picked up, but nobody there accepted the call; treated as a 480, no answer."""

    status = 480


class MessageWanted(SipError):
    """Whoever picked up a phone sent the caller to voicemail; like a 6xx, this stops all other phones."""

    status = 603


class Unwanted(SipError):
    """Whoever picked up a phone blocked the caller, now and later (RFC 8197)."""

    status = 607


NOT_TAKEN = (
    Rejected, TransportFailed, TransactionTimeout, OfferRefused, LimitReached, LegEnded, NotRegistered,
    NotConfirmed, MessageWanted, Unwanted,
)  # fmt: skip
"""How an attempt to reach the agent or a phone fails without ending the call."""


class Result(enum.Enum):
    """What became of the caller."""

    __hash__ = object.__hash__  # as equality is identity; that of `Enum` is a call of its own
    BRIDGED = "bridged"
    """Was connected with a phone."""
    DECLINED = "declined"
    """Was turned down after the answer: by the agent, at the phone, by the user, or by a failed challenge."""
    VOICEMAIL = "voicemail"
    """Left a message, or had the chance to."""
    CALLER_LEFT = "caller left"
    """Hung up or cancelled before any of these."""
    REFUSED = "refused"
    """Was rejected before the call was answered."""
    UNANSWERED = "unanswered"
    """Reached nobody, and no message could be taken."""
    CUT = "cut"
    """The call was cut short by us: shutdown, or an error of our own."""

    def __init__(self, text: str) -> None:
        self.text = text
        """The same as `value`; a plain attribute is faster."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the caller, and why."""

    result: Result
    reason: str


outcome = lru_cache(maxsize=256)(Outcome)
"""A cached `Outcome`: calls with the same outcome share one."""


class OnFailure(enum.Enum):
    """What to do with a caller if there is no verdict (setting `on_failure`)."""

    RING = "ring"
    CHALLENGE = "challenge"
    """Ring, but only for callers who pass the key challenge."""
    VOICEMAIL = "voicemail"
    REJECT = "reject"


END_REASON_BY_STATUS = {
    603: EndReason.DECLINED,
    607: EndReason.UNWANTED,
    608: EndReason.SCREENED_OUT,
    486: EndReason.BUSY,
    404: EndReason.NOT_IN_SERVICE,
}
"""The end reason of a caller's leg that is rejected, by SIP status."""


def status_of(failure: SipError) -> int:
    """The SIP status that a failed attempt to reach a phone amounts to (RFC 3261 §8.1.3.1)."""
    if isinstance(failure, LegEnded):  # hung up right after its answer
        return failure.reason.status
    if isinstance(failure, Rejected) and blocked_by_network(failure.response):
        return 503  # the refusal came from a network; no phone has rung
    return int(getattr(failure, "status", 503))


def news_of(failure: SipError) -> News:
    """The news for the agent about a phone that did not take the call."""
    if isinstance(failure, NotRegistered):
        return News.PHONE_UNREACHABLE
    match status_of(failure):
        case 486 | 600:
            return News.PHONE_BUSY
        case 408 | 480 | 487:
            return News.PHONE_NO_ANSWER
        case 403 | 603 | 607 | 608:
            return News.PHONE_DECLINED
        case _:
            return News.PHONE_UNREACHABLE
