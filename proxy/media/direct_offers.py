"""The offers and answers a direct session wants sent, and the interface of whoever sends them by SIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """Send the leg an offer; `patient`: retry after a 491."""

    leg: str
    patient: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the leg's open offer."""

    leg: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the leg's open offer with this status."""

    leg: str
    status: int


Move = Offer | Answer | Refuse


class Signalling(Protocol):
    """Carries out the moves of one session, one after another, until there are none left."""

    def changed(self) -> None:
        """There may be a move to make: state has changed. Returns at once."""
        ...

    async def idle(self) -> None:
        """Return when every move is made or given up."""
        ...

    def can_reoffer(self, leg: str) -> bool:
        """Whether the leg's INVITE is answered and the leg has not ended, so that it can be re-INVITEd."""
        ...

    def press(self, leg: str, digit: str, seconds: float) -> None:
        """Send the leg's peer a key press by signalling, as no RTP of ours reaches it."""
        ...


class NoSignalling:
    """The null object, for before and after a session has signalling: sends nothing, every leg stands."""

    def changed(self) -> None:
        """Do nothing."""

    async def idle(self) -> None:
        """Return at once."""

    def can_reoffer(self, leg: str) -> bool:
        """Assume that it stands."""
        return True

    def press(self, leg: str, digit: str, seconds: float) -> None:
        """Do nothing."""
