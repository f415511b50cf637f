"""What a transaction asks of its owner (RFC 3261 §17: the arrows to the TU and to the transport).

Nobody keeps one, so they are not frozen: that would triple what it costs to make one.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sip.message import Request, Response


@dataclass(slots=True)
class Send:
    """Give this message to the transport."""

    message: Request | Response
    """What goes out, complete with its Via."""


@dataclass(slots=True)
class Deliver:
    """Pass this message up to the transaction user."""

    message: Request | Response
    """What came in and is news to the user."""


@dataclass(slots=True)
class TimedOut:
    """The peer did not answer in time; to the user it is a 408 (§8.1.3.1)."""


@dataclass(slots=True)
class Failed:
    """The transport failed; to the user it is a 503 (§8.1.3.1)."""

    error: Exception
    """What the transport said."""


Effect = Send | Deliver | TimedOut | Failed
