"""How a call can end, and the words between the story, the wire and the screening."""

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
    """A phone that has no contact now; the same as a 480."""

    status = 480


class NotConfirmed(SipError):
    """A phone was picked up, and nobody there took the call: as if nobody had answered."""

    status = 480


class MessageWanted(SipError):
    """Whoever picked up a phone would rather have a message; he speaks for all phones, as a 6xx does."""

    status = 603


class Unwanted(SipError):
    """Whoever picked up a phone wants no call of this caller, now or later (RFC 8197)."""

    status = 607


NOT_TAKEN = (
    Rejected, TransportFailed, TransactionTimeout, OfferRefused, LimitReached, LegEnded, NotRegistered,
    NotConfirmed, MessageWanted, Unwanted,
)  # fmt: skip
"""How an attempt to reach the agent or the phone fails without hurting the caller."""


class Result(enum.Enum):
    """What became of the caller."""

    __hash__ = object.__hash__  # as equality is identity; that of `Enum` is a call of its own
    BRIDGED = "bridged"
    """Talked to the phone."""
    DECLINED = "declined"
    """Told no: by the agent, politely; at the phone; by the user, who hung up; or for the lack of a key."""
    VOICEMAIL = "voicemail"
    """Left a message, or had the chance to."""
    CALLER_LEFT = "caller left"
    """Hung up or cancelled before any of these."""
    REFUSED = "refused"
    """Turned away before the call was answered."""
    UNANSWERED = "unanswered"
    """Nobody took the call and no message could be taken."""
    CUT = "cut"
    """Ended by us in mid-story: shut-down, or an error of our own."""

    def __init__(self, text: str) -> None:
        self.text = text
        """The same as `value`, which is looked up by two calls each time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the caller, and why."""

    result: Result
    reason: str


outcome = lru_cache(maxsize=256)(Outcome)
"""One for all calls that come to the same."""


class OnFailure(enum.Enum):
    """What to do with a caller when no verdict can be had."""

    RING = "ring"
    CHALLENGE = "challenge"
    """Ring for one who presses the key that he is told."""
    VOICEMAIL = "voicemail"
    REJECT = "reject"


REFUSED_BY = {
    603: EndReason.DECLINED,
    607: EndReason.UNWANTED,
    608: EndReason.SCREENED_OUT,
    486: EndReason.BUSY,
    404: EndReason.NOT_IN_SERVICE,
}
"""How the leg of a caller ends who is turned away, by the status that he is told."""


def status_of(failure: SipError) -> int:
    """The final status that a failed attempt at the phone amounts to (RFC 3261 §8.1.3.1)."""
    if isinstance(failure, LegEnded):  # it hung up as soon as it had answered
        return failure.reason.status
    if isinstance(failure, Rejected) and blocked_by_network(failure.response):
        return 503  # it speaks for itself, and no phone has rung
    return int(getattr(failure, "status", 503))


def news_of(failure: SipError) -> News:
    """What the agent is told about a phone that did not take the call."""
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
