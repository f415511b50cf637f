"""Why a leg ended, and how that is expressed in SIP."""

from __future__ import annotations

import enum


class EndReason(enum.Enum):
    """Why a leg ended: by its peer, by a time limit, or by us."""

    HUNG_UP = ("the peer hung up", 487, 16)
    CANCELLED = ("the peer cancelled before an answer", 487, 16)
    REJECTED = ("the peer did not take the call", 603, 21)
    UNREACHABLE = ("the peer could not be reached", 480, 38)
    NO_ACK = ("the peer never acknowledged the answer", 408, 102)
    NO_PRACK = ("the peer never acknowledged a provisional response", 504, 102)
    SESSION_EXPIRED = ("the peer no longer refreshed the session", 408, 102)
    MEDIA_INACTIVE = ("no audio came any more", 480, 102)
    TOO_LONG = ("the call reached its maximum length", 480, 31)
    INTERVAL_TOO_SMALL = ("the session interval asked for is too small", 422, 21)
    MEDIA_REFUSED = ("no usable audio was agreed", 488, 88)

    COMPLETED = ("the call is over", 480, 16)
    BY_USER = ("the user ended the call", 603, 16)
    TRANSFERRED = ("the caller is with the phone", 480, 16)
    CALLER_LEFT = ("the caller hung up", 487, 16)
    ELSEWHERE = ("Call completed elsewhere", 487, 200, "SIP")
    NO_ANSWER = ("no answer in time", 480, 19)
    UNANSWERED = ("nobody took the call", 480, 19)
    DECLINED = ("the caller was declined", 603, 21)
    UNWANTED = ("the caller is not wanted", 607, 21)
    SCREENED_OUT = ("the call was rejected by its screening", 608, 21)
    BUSY = ("the phone is busy", 486, 17)
    NOT_IN_SERVICE = ("the number is not in service", 404, 1)
    BLOCKED = ("Unwanted", 607, 607, "SIP")
    OVERLOADED = ("no capacity for another call", 503, 34)
    DRAINING = ("the server is shutting down", 503, 41)
    FAILED = ("an internal error", 500, 41)

    def __init__(self, text: str, status: int, cause: int, protocol: str = "Q.850") -> None:
        self.text = text
        self.status = status
        """The final response to an INVITE refused for this reason."""
        self.header = f'{protocol};cause={cause};text="{text}"'
        """The Reason header of a BYE or CANCEL (RFC 3326 §2)."""
