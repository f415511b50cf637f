"""The states of the four transaction machines (RFC 3261 §17, RFC 6026 §7)."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a transaction stands; each machine uses those that its figure shows."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"
