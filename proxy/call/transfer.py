"""The agent's REFERs (RFC 3515): which are accepted, and the NOTIFYs that report on the phone."""

from __future__ import annotations

from proxy.call.journal import Journal
from proxy.call.routing import Destination, Number
from proxy.ua.leg import Leg
from proxy.ua.refer import Refer
from screening.contract import News, Screening, Verdict


class Transfers:
    """The REFERs of one call."""

    __slots__ = ("_accepted", "_failed_status", "_journal", "_number", "_rung_for")

    def __init__(self, number: Number, journal: Journal) -> None:
        self._number, self._journal = number, journal
        self._accepted: tuple[Refer, ...] = ()
        """Accepted REFERs whose final NOTIFY has not been sent."""
        self._rung_for: Verdict | None = None
        """The decision for which the phone was rung without waiting for its REFER, which may still come."""
        self._failed_status = 0
        """The status with which that attempt at the phone failed; 0 if it has not."""

    def note_rung_without_refer(self, decided: Verdict | None) -> None:
        """Note that the phone is rung for this decision, whose REFER has not come."""
        self._rung_for, self._failed_status = decided, 0

    async def next_destination(self, agent: Leg, screening: Screening) -> Destination:
        """Wait for the agent's next REFER that is accepted; returns the destination it selects."""
        while True:
            if (destination := self.accept(await agent.refer(), screening)) is not None:
                return destination

    def accept(self, refer: Refer, screening: Screening | None) -> Destination | None:
        """Accept a REFER and tell the screening; returns the destination to ring, or None.

        None if its target is not a configured destination: it is refused with 403 (toll fraud). Also None if
        the phone was rung for the same decision before and did not take the call: it is not rung again.
        """
        destination = self._number.destination_for(refer.target)
        if destination is None:
            self._journal.step("refer refused", "its target is not a configured destination")
            refer.refuse(403)
            return None
        rung_for, self._rung_for = self._rung_for, None
        if rung_for is not None and self._failed_status and screening and screening.decided is rung_for:
            self._journal.step("refer too late", "the phone was tried for it already")
            refer.accept()
            refer.progress(self._failed_status)
            return None
        if screening is not None:
            screening.tell(News.REFER_ARRIVED)
        self._accepted = (*self._accepted, refer)
        refer.accept()
        return destination

    async def accept_late(self, agent: Leg, screening: Screening | None) -> None:
        """Accept REFERs that come while the phone rings already: they ask for what is being done."""
        while True:
            if self.accept(await agent.refer(), screening):
                self._journal.step("refer joined", "the phone rings already")

    def progress(self, status: int) -> None:
        """Report the phone's status to the agent by NOTIFY (§2.4.5)."""
        for refer in self._accepted:
            refer.progress(status)

    def conclude(self, status: int) -> None:
        """Report the final status of the phone, which ends these REFERs."""
        self._failed_status = status
        if self._accepted:
            self.progress(status)
            self._accepted = ()
