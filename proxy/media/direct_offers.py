"""What a `direct` session has to say to the peers, and whoever says it, since that takes SIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer to that leg; `patient`: try again after a 491."""

    leg: str
    patient: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer that leg's open offer."""

    leg: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse that leg's open offer with this status."""

    leg: str
    status: int


Move = Offer | Answer | Refuse


class Signalling(Protocol):
    """Makes the moves of one session, one after the other, until there is none left."""

    def changed(self) -> None:
        """There may be a move to make. Called whenever something was said or is wished; returns at once."""
        ...

    async def quiet(self) -> None:
        """Return when every move is made, or given up."""
        ...

    def stands(self, leg: str) -> bool:
        """Whether that leg's INVITE is answered and it has not ended, so that it can be offered to again."""
        ...

    def press(self, leg: str, digit: str, seconds: float) -> None:
        """Tell that leg's peer of a key, as there are no packets of ours to tell it in."""
        ...


class NoSignalling:
    """Before there is any, and after: nobody is told anything, and every leg stands."""

    def changed(self) -> None:
        """Make no move."""

    async def quiet(self) -> None:
        """There is nothing to wait for."""

    def stands(self, leg: str) -> bool:
        """Nothing is known against it."""
        return True

    def press(self, leg: str, digit: str, seconds: float) -> None:
        """Nobody to tell."""
