"""What a transaction asks of its owner (RFC 3261 §17: the arrows to the TU and to the transport)."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sip.message import Request, Response


@dataclass(frozen=True, slots=True)
class Send:
    """Give this message to the transport."""

    message: Request | Response
    """What goes out, complete with its Via."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Pass this message up to the transaction user."""

    message: Request | Response
    """What came in and is news to the user."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The peer did not answer in time; to the user it is a 408 (§8.1.3.1)."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The transport failed; to the user it is a 503 (§8.1.3.1)."""

    error: Exception
    """What the transport said."""


Effect = Send | Deliver | TimedOut | Failed
