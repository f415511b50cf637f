"""What can go wrong with a leg: the peer said no, left, or outlasted our patience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.sip.status import reason_phrase
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.sip.message import Response
    from proxy.ua.leg import Leg


class TransactionTimeout(SipError):
    """No final response in 64·T1; the same as a 408 (RFC 3261 §8.1.3.1)."""

    status = 408


class Rejected(SipError):
    """The peer answered our INVITE with a final response that is no success."""

    def __init__(self, response: Response) -> None:
        # Our words, not the peer's: it goes to the log, and theirs may hold a number.
        super().__init__(f"{response.status} {reason_phrase(response.status)}")
        self.status = response.status
        self.response = response


_LONGEST_WARNING = 120


class OfferRefused(SipError):
    """The peer's session description cannot be used; `status` is what we owe or would have owed."""

    def __init__(self, message: str, status: int = 488) -> None:
        super().__init__(message)
        self.status = status

    def told(self, host: str) -> tuple[tuple[str, str], ...]:
        """What a 488 of ours says of the reason (RFC 3261 §13.3.1.3, §20.43); another status says enough."""
        if self.status != 488:
            return ()
        plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in str(self))
        return (("Warning", f'399 {host} "{plain[:_LONGEST_WARNING]}"'),)


class LegEnded(SipError):
    """The leg is gone: its peer ended it, or its peer is not heard of any more."""

    def __init__(self, leg: Leg, reason: EndReason) -> None:
        super().__init__(f"{leg.name}: {reason.text}")
        self.leg = leg
        self.reason = reason


class LimitReached(SipError):
    """Our patience with a peer ran out; `reason` says which limit."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason.text)
        self.reason = reason
        self.status = 408


def bare(error: SipError) -> SipError:
    """The same, to be kept where it was caught: its traceback and context know the frames there, which would
    know it.
    """
    error.__context__ = None
    return error.with_traceback(None)
