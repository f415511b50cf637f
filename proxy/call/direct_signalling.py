"""Signalling for direct media: the re-INVITEs and answers that a `DirectSession` asks for (RFC 3725 §4.1).

One move is made at a time, whatever caused it: the call connecting two legs, a peer's new offer, or the end
of a leg, after which the caller's audio must come back to us.
"""

from __future__ import annotations

import asyncio

from proxy.call.legs import Legs
from proxy.media.direct import DirectSession
from proxy.media.direct_offers import Answer, Move, Offer, Refuse
from proxy.sip.errors import SipError
from proxy.ua.errors import OfferRefused, without_traceback
from proxy.ua.info import send_key
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason

GLARE_S = 10.0
"""For so long a re-INVITE that got 491 (glare) is tried again (RFC 3261 §14.1)."""
PATIENCE_S = 10.0
"""How long the answer to a re-INVITE may take, which no human has to give; then it is cancelled."""
MAX_MOVES = 16
"""Offers and answers in one go, so that two peers cannot make us pass new ones back and forth for ever."""
PASSED_ON = frozenset({403, 415, 480, 486, 488, 491, 500, 503, 603, 606})
"""Statuses of one leg's refusal that are passed on to the leg whose offer it was; all others become 500."""


class DirectSignalling:
    """Renegotiates the media of one call's legs, so that audio flows directly between their peers."""

    def __init__(self, media: DirectSession, legs: Legs) -> None:
        self._media, self._legs, self._step = media, legs, legs.journal.step
        self._working: asyncio.Future[None] | None = None
        self._failure: SipError | None = None
        media.signalling = self

    @classmethod
    def of(cls, legs: Legs) -> DirectSignalling | None:
        """For these legs; None if their audio is relayed by us."""
        return cls(legs.media, legs) if isinstance(legs.media, DirectSession) else None

    async def renegotiate(self) -> None:
        """Return when all offers are answered; if a leg refuses, raises that, and media are as before."""
        self._failure = None
        self.changed()
        await self.idle()
        try:
            if self._failure is not None:
                raise self._failure
        finally:
            self._failure = None  # breaks a reference cycle: its traceback refers to this frame

    # Called by the session: see `Signalling`.

    async def idle(self) -> None:
        """Return when no move is pending."""
        while self._working is not None:
            await asyncio.shield(self._working)

    def changed(self) -> None:
        """Start making moves, unless that is going on already."""
        if self._working is None and self._media.next_move() is not None:
            self._working = asyncio.get_running_loop().create_future()
            if not self._legs.core.spawn(self._make_moves()):
                self._working = None

    def can_reoffer(self, leg: str) -> bool:
        """Whether the leg can be sent a re-INVITE."""
        return self._standing(leg) is not None

    def press(self, leg: str, digit: str, seconds: float) -> None:
        """Send a key press by INFO; a leg without a confirmed dialog does not get it."""
        if (standing := self._standing(leg)) is not None:
            send_key(standing, digit, seconds)

    # One move after another.

    def _standing(self, name: str) -> Leg | None:
        leg = self._legs.find(name)
        if leg is None or leg.dialog is None or not leg.dialog.confirmed or leg.ended.done():
            return None
        return leg

    async def _make_moves(self) -> None:
        try:
            for _ in range(MAX_MOVES):
                if (move := self._media.next_move()) is None:
                    return
                await self._make_move(move)
            self._step("not switched", "the peers answer something else each time they are asked")
        finally:
            working, self._working = self._working, None
            if working is not None:
                working.set_result(None)

    async def _make_move(self, move: Move) -> None:
        leg = self._legs.find(move.leg)
        assert leg is not None, "next_move names legs that stand"
        match move:
            case Offer(patient=patient):
                await self._offer(leg, patient)
            case Answer():
                self._answer(leg)
            case Refuse(status=status):
                self._media.refused(leg.name)
                leg.offered.refuse(status)

    async def _offer(self, leg: Leg, patient: bool) -> None:
        glare_s = GLARE_S if patient else 0.0
        timer_queue = leg.core.timer_queue
        over = timer_queue.now() + glare_s + PATIENCE_S
        timer = timer_queue.at(over, lambda: leg.reoffers.withdraw(EndReason.NO_ANSWER))
        try:
            await leg.offer(glare_s=glare_s)
        except SipError as refusal:
            status = getattr(refusal, "status", 500)
            self._step("not switched", f"{leg.name}: {refusal}")
            if leg.ended.done():
                self._media.release(leg.name)
                self._keep_failure(refusal)
            elif self._media.offer_rejected(leg.name, status if status in PASSED_ON else 500):
                self._keep_failure(refusal)
        else:
            if patient:
                where = "to us" if self._media.is_relayed(leg.name) else "past us"
                self._step("switched", f"the audio of the {leg.name} goes {where}")
        finally:
            timer.cancel()

    def _answer(self, leg: Leg) -> None:
        try:
            sdp = leg.media.repeat_sdp()
        except OfferRefused as refusal:
            self._keep_failure(refusal)
            self._media.refused(leg.name)
            leg.offered.refuse(refusal.status)
        else:
            leg.offered.reply(sdp)

    def _keep_failure(self, refusal: SipError) -> None:
        """Keep the failure for `renegotiate` to raise."""
        self._failure = without_traceback(refusal)
