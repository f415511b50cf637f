"""The caller's side of one call: ringing, answered once, connected with one leg after another."""

from __future__ import annotations

from proxy.call.call_recording import CallRecorder
from proxy.call.context import CallContext
from proxy.call.direct_signalling import DirectSignalling
from proxy.call.legs import Legs
from proxy.call.media_watch import MediaWatch
from proxy.call.outcome import END_REASON_BY_STATUS, Result
from proxy.call.routing import Number
from proxy.call.sound import CallerSounds
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction
from screening.contract import Refuse


class CallerSide:
    """The caller's side of one call. Call `invited` first and `close` last."""

    __slots__ = (
        "_media_watch",
        "answered",
        "context",
        "direct_signalling",
        "failed_status",
        "leg",
        "legs",
        "number",
        "phone_rung",
        "recorder",
        "sounds",
    )

    leg: Leg

    def __init__(self, context: CallContext, number: Number, legs: Legs, name: str) -> None:
        """`name`: the call's name."""
        self.context, self.number, self.legs = context, number, legs
        self.sounds = CallerSounds(legs.media, number.sound)
        self.direct_signalling = DirectSignalling.of(legs)
        self.recorder: CallRecorder | None = None
        """None where the call is not recorded."""
        if number.record:
            path = context.recording_dir / f"{name}.wav"
            self.recorder = CallRecorder(legs.media, legs.journal, path)
        self.answered = False
        """Whether the caller's INVITE was answered, or is about to be."""
        self.phone_rung = False
        """Whether any phone was rung for the caller."""
        self.failed_status = 0
        """The SIP status with which the last attempt at the phones failed; 0 before that."""
        self._media_watch: MediaWatch | None = None

    def invited(self, leg: Leg, invite: ServerTransaction) -> None:
        """Take over the caller's leg and its INVITE."""
        self.leg = leg
        leg.invited(invite)

    async def ring(self) -> None:
        """Signal ringing to the caller.

        A call that is recorded with an announcement is answered at once: it must be played before recording
        anything that the caller says. Does nothing if the caller is answered already.
        """
        if self.answered:
            return
        self.sounds.signal_ringing(self.leg)
        number = self.number
        if self.recorder is not None and number.announcement is not None:
            await self.answer(None)
            await self.recorder.announce(self.context.speech, number.announcement, number.language)
            self.legs.media.ringback("caller", True)

    async def answer(self, other: str | None, *, speaks: bool = True) -> None:
        """Connect the caller's audio with another leg, and answer the caller's INVITE unless that was done.

        `other`: the name of that leg; None connects nobody. `speaks`: whether it will speak at once; if not,
        ringback is played until it does. Raises one of NOT_TAKEN if the media of a caller who was answered
        before cannot be moved to the other leg (see `DirectSignalling`).
        """
        if other is not None:
            self.legs.media.join("caller", other)
        if speaks:
            self.legs.media.ringback("caller", False)
        else:
            self.sounds.ringback_until_heard()
        if self.answered:
            return await self.direct_signalling.renegotiate() if self.direct_signalling is not None else None
        self.answered = True
        self._media_watch = MediaWatch(self.legs, self.context.media_watch)
        try:
            await self.leg.answer()
        except OfferRefused as refusal:
            self.refuse_offer(refusal)
            raise LegEnded(self.leg, self.leg.ended.result()) from refusal
        self.legs.journal.answered("caller")
        if self.recorder is not None:
            self.recorder.begin()

    def refuse_offer(self, refusal: OfferRefused) -> None:
        """Refuse the caller's offer: no media can be agreed on, or no port is free."""
        self.legs.journal.step("turned away", str(refusal))
        self.legs.journal.settle(Result.REFUSED, str(refusal))
        ends = EndReason.OVERLOADED if refusal.status == 503 else EndReason.MEDIA_REFUSED
        self.leg.end(ends, refusal.warning_headers(self.context.host))

    def reject(self, plan: Refuse) -> None:
        """Reject the caller as planned; a 608 says where to complain (RFC 8688 §3.2)."""
        settled = Result.DECLINED if self.answered else Result.REFUSED
        self.legs.journal.settle(settled, plan.reason or plan.why.value)
        card = self.number.reject_card if plan.status == 608 else None
        headers = (("Call-Info", f"<{card}>;purpose=jwscard"),) if card else ()
        self.leg.end(END_REASON_BY_STATUS[plan.status], headers)

    def close(self) -> None:
        """Release the call's media, and finish its recording."""
        if self._media_watch is not None:
            self._media_watch.stop()
        self.legs.media.close()
        if self.recorder is not None:
            self.recorder.close()
