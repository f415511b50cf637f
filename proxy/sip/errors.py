"""Base class of all SIP errors, and the error for a peer that violates the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.sip.message import Request


class SipError(Exception):
    """Base class of every error raised by SIP code."""


class ParseError(SipError):
    """Malformed or invalid input from a peer; `status` answers it if it was a request (RFC 3261 §21.4.1)."""

    status: int
    """The final status to answer the request with: 400, 500, 501, 505 or 513."""

    partial: Request | None
    """As much of the request as could be parsed, enough to call `reply` on; None if no answer is due."""

    def __init__(self, message: str, status: int = 400, partial: Request | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.partial = partial
