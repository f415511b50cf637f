"""The agent's REFERs: which of them are followed, and what the agent is told of the phone (RFC 3515)."""

from __future__ import annotations

from proxy.call.routing import Destination, Number
from proxy.call.scribe import Scribe
from proxy.ua.leg import Leg
from proxy.ua.refer import Refer
from screening.contract import News, Screening


class Transfers:
    """Those of one call."""

    __slots__ = ("_accepted", "_number", "_scribe")

    def __init__(self, number: Number, scribe: Scribe) -> None:
        self._number, self._scribe = number, scribe
        self._accepted: tuple[Refer, ...] = ()
        """The agent waits to hear what became of them."""

    def selected(self, refer: Refer, screening: Screening | None) -> Destination | None:
        """Accept a REFER, which is told from now on how the phone fares; the screening hears of it.

        One whose target is not a configured destination is refused (toll fraud), and nothing comes of it.
        """
        place = self._number.destination_for(refer.target)
        if place is None:
            self._scribe.step("refer refused", "its target is not a configured destination")
            refer.refuse(403)
            return None
        if screening is not None:
            screening.tell(News.REFER_ARRIVED)
        self._accepted = (*self._accepted, refer)
        refer.accept()
        return place

    async def late(self, agent: Leg, screening: Screening | None) -> None:
        """A REFER that comes while the phone rings already is the same wish, come late."""
        while True:
            if self.selected(await agent.refer(), screening):
                self._scribe.step("refer joined", "the phone rings already")

    def progress(self, status: int) -> None:
        """How the phone fares (§2.4.5)."""
        for refer in self._accepted:
            refer.progress(status)

    def concluded(self, status: int) -> None:
        """What became of the phone: the last that these REFERs are told."""
        if self._accepted:
            self.progress(status)
            self._accepted = ()
