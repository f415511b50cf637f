"""What can go wrong with a leg: the peer refused, ended it, or exceeded a time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.sip.errors import SipError
from proxy.sip.status import reason_phrase
from proxy.ua.reason import EndReason

if TYPE_CHECKING:
    from proxy.sip.message import Response
    from proxy.ua.leg import Leg


class TransactionTimeout(SipError):
    """No final response in 64·T1; treated as a 408 (RFC 3261 §8.1.3.1)."""

    status = 408


class Rejected(SipError):
    """The peer answered with a final response that is not a 2xx."""

    def __init__(self, response: Response) -> None:
        # Our reason phrase, not the peer's, which may contain a number: this text is logged.
        super().__init__(f"{response.status} {reason_phrase(response.status)}")
        self.status = response.status
        self.response = response


_LONGEST_WARNING = 120


class OfferRefused(SipError):
    """The peer's session description is unusable; `status` is the response for that."""

    def __init__(self, message: str, status: int = 488) -> None:
        super().__init__(message)
        self.status = status

    def warning_headers(self, host: str) -> tuple[tuple[str, str], ...]:
        """The Warning header of a 488 (RFC 3261 §13.3.1.3, §20.43); nothing for any other status."""
        if self.status != 488:
            return ()
        plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in str(self))
        return (("Warning", f'399 {host} "{plain[:_LONGEST_WARNING]}"'),)


class LegEnded(SipError):
    """The leg has ended: by its peer, or because the peer is no longer reachable."""

    def __init__(self, leg: Leg, reason: EndReason) -> None:
        super().__init__(f"{leg.name}: {reason.text}")
        self.leg = leg
        self.reason = reason


class LimitReached(SipError):
    """A time limit for a peer has passed; `reason` says which."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason.text)
        self.reason = reason
        self.status = 408


def without_traceback(error: SipError) -> SipError:
    """Return the error without traceback and context, which would keep the frames there alive."""
    error.__context__ = None
    return error.with_traceback(None)
