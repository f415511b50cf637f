"""Why a leg ended, and how that is said on the wire."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    status: int
    """The final response to an INVITE that is refused for this reason."""
    cause: int
    """Cause for the Reason header (RFC 3326)."""
    protocol: str = "Q.850"
    """Whose cause that is."""


class EndReason(enum.Enum):
    """Why a leg ended: by its peer, by time, or by us."""

    HUNG_UP = _Words("the peer hung up", 487, 16)
    CANCELLED = _Words("the peer cancelled before an answer", 487, 16)
    REJECTED = _Words("the peer did not take the call", 603, 21)
    UNREACHABLE = _Words("the peer could not be reached", 480, 38)
    NO_ACK = _Words("the peer never acknowledged the answer", 408, 102)
    NO_PRACK = _Words("the peer never acknowledged a provisional response", 504, 102)
    SESSION_EXPIRED = _Words("the peer no longer refreshed the session", 408, 102)
    INTERVAL_TOO_SMALL = _Words("the session interval asked for is too small", 422, 21)
    MEDIA_REFUSED = _Words("no usable audio was agreed", 488, 88)

    COMPLETED = _Words("the call is over", 480, 16)
    TRANSFERRED = _Words("the caller is with the phone", 480, 16)
    CALLER_LEFT = _Words("the caller hung up", 487, 16)
    ELSEWHERE = _Words("Call completed elsewhere", 487, 200, "SIP")
    NO_ANSWER = _Words("no answer in time", 480, 19)
    TALK_LIMIT = _Words("the talk limit is reached", 480, 16)
    DECLINED = _Words("the caller was declined", 603, 21)
    NOT_FOUND = _Words("the number is not configured here", 404, 1)
    OVERLOADED = _Words("no capacity for another call", 503, 34)
    DRAINING = _Words("the server is shutting down", 503, 41)
    FAILED = _Words("an internal error", 500, 41)

    @property
    def text(self) -> str:
        return self.value.text

    @property
    def status(self) -> int:
        return self.value.status

    @property
    def header(self) -> str:
        """The Reason header for a BYE or CANCEL (RFC 3326 §2)."""
        return f'{self.value.protocol};cause={self.value.cause};text="{self.value.text}"'
