"""The agent's REFERs: which of them are followed, and what the agent is told of the phone (RFC 3515)."""

from __future__ import annotations

from proxy.call.journal import Scribe
from proxy.call.routing import Destination, Number
from proxy.ua.leg import Leg
from proxy.ua.refer import Refer
from screening.contract import News, Screening, Verdict


class Transfers:
    """Those of one call."""

    __slots__ = ("_accepted", "_failed", "_foregone", "_number", "_scribe")

    def __init__(self, number: Number, scribe: Scribe) -> None:
        self._number, self._scribe = number, scribe
        self._accepted: tuple[Refer, ...] = ()
        """The agent waits to hear what became of them."""
        self._foregone: Verdict | None = None
        """A decision that the phone is, or was, rung for without its REFER, which may come yet."""
        self._failed = 0
        """The status with which the phone was tried for it in vain."""

    def foregone(self, decided: Verdict | None) -> None:
        """The phone is rung for this decision, whose REFER has not come."""
        self._foregone, self._failed = decided, 0

    async def wanted(self, agent: Leg, screening: Screening) -> Destination:
        """What the agent's next REFER selects, of those that select anything."""
        while True:
            if (place := self.selected(await agent.refer(), screening)) is not None:
                return place

    def selected(self, refer: Refer, screening: Screening | None) -> Destination | None:
        """Accept a REFER, which is told from now on how the phone fares; the screening hears of it.

        One whose target is not a configured destination is refused (toll fraud), and nothing comes of it; nor
        of one for which the phone was tried already: whoever declined is not rung again.
        """
        place = self._number.destination_for(refer.target)
        if place is None:
            self._scribe.step("refer refused", "its target is not a configured destination")
            refer.refuse(403)
            return None
        foregone, self._foregone = self._foregone, None
        if foregone is not None and self._failed and screening and screening.decided is foregone:
            self._scribe.step("refer too late", "the phone was tried for it already")
            refer.accept()
            refer.progress(self._failed)
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
        self._failed = status
        if self._accepted:
            self.progress(status)
            self._accepted = ()
