"""The agent's REFERs (RFC 3515): which are accepted, and the NOTIFYs that report on the phone."""

from __future__ import annotations

from proxy.call.journal import Journal
from proxy.call.routing import Destination, Number
from proxy.ua.leg import Leg
from proxy.ua.refer import Refer
from screening.contract import News, Screening, Verdict


class Transfers:
    """The REFERs of one call."""

    __slots__ = ("_accepted", "_failed", "_foregone", "_journal", "_number")

    def __init__(self, number: Number, journal: Journal) -> None:
        self._number, self._journal = number, journal
        self._accepted: tuple[Refer, ...] = ()
        """Accepted REFERs whose final NOTIFY has not been sent."""
        self._foregone: Verdict | None = None
        """The decision for which the phone was rung without waiting for its REFER, which may still come."""
        self._failed = 0
        """The status with which that attempt at the phone failed; 0 if it has not."""

    def foregone(self, decided: Verdict | None) -> None:
        """Note that the phone is rung for this decision, whose REFER has not come."""
        self._foregone, self._failed = decided, 0

    async def wanted(self, agent: Leg, screening: Screening) -> Destination:
        """Wait for the agent's next REFER that is accepted; returns the destination it selects."""
        while True:
            if (place := self.selected(await agent.refer(), screening)) is not None:
                return place

    def selected(self, refer: Refer, screening: Screening | None) -> Destination | None:
        """Accept a REFER and tell the screening; returns the destination to ring, or None.

        None if its target is not a configured destination: it is refused with 403 (toll fraud). Also None if
        the phone was rung for the same decision before and did not take the call: it is not rung again.
        """
        place = self._number.destination_for(refer.target)
        if place is None:
            self._journal.step("refer refused", "its target is not a configured destination")
            refer.refuse(403)
            return None
        foregone, self._foregone = self._foregone, None
        if foregone is not None and self._failed and screening and screening.decided is foregone:
            self._journal.step("refer too late", "the phone was tried for it already")
            refer.accept()
            refer.progress(self._failed)
            return None
        if screening is not None:
            screening.tell(News.REFER_ARRIVED)
        self._accepted = (*self._accepted, refer)
        refer.accept()
        return place

    async def late(self, agent: Leg, screening: Screening | None) -> None:
        """Accept REFERs that come while the phone rings already: they ask for what is being done."""
        while True:
            if self.selected(await agent.refer(), screening):
                self._journal.step("refer joined", "the phone rings already")

    def progress(self, status: int) -> None:
        """Report the phone's status to the agent by NOTIFY (§2.4.5)."""
        for refer in self._accepted:
            refer.progress(status)

    def concluded(self, status: int) -> None:
        """Report the final status of the phone, which ends these REFERs."""
        self._failed = status
        if self._accepted:
            self.progress(status)
            self._accepted = ()
