"""Outputs of the transaction machines (RFC 3261 §17: the arrows to the TU and to the transport).

Not frozen: effects are consumed at once, and a frozen dataclass takes three times as long to create.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sip.message import Request, Response


@dataclass(slots=True)
class Send:
    """Hand this message to the transport."""

    message: Request | Response
    """The message to send, with its Via in place."""


@dataclass(slots=True)
class Deliver:
    """Pass this message up to the transaction user."""

    message: Request | Response
    """The message received; retransmissions are not delivered."""


@dataclass(slots=True)
class TimedOut:
    """The peer did not answer in time; the TU treats it as a 408 (§8.1.3.1)."""


@dataclass(slots=True)
class Failed:
    """The transport failed; the TU treats it as a 503 (§8.1.3.1)."""

    error: Exception
    """The error raised by the transport."""


Effect = Send | Deliver | TimedOut | Failed
