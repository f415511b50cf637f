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


# A machine asks for several at every message, and finds them by these names in a fifth of the time.
CALLING, TRYING, PROCEEDING, ACCEPTED = State.CALLING, State.TRYING, State.PROCEEDING, State.ACCEPTED
COMPLETED, CONFIRMED, TERMINATED = State.COMPLETED, State.CONFIRMED, State.TERMINATED
