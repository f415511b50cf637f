"""The root of what can go wrong with SIP, and the error of a peer that broke the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.sip.message import Request


class SipError(Exception):
    """Anything that ends or refuses a piece of SIP work."""


class ParseError(SipError):
    """The peer broke the protocol; `status` is what we owe if the thing was a request (RFC 3261 §21.4.1)."""

    status: int
    """The final status a request of this kind is answered with: 400, 505, 513 or 500."""

    partial: Request | None
    """As much of the request as could be read, enough to `reply` to; None where no answer is owed."""

    def __init__(self, message: str, status: int = 400, partial: Request | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.partial = partial
