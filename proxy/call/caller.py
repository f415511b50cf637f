"""The caller of one call: it rings for him, he is answered once, and hears whoever is joined with him."""

from __future__ import annotations

from proxy.call.call_recording import Tape
from proxy.call.context import Surroundings
from proxy.call.direct_signalling import Switch
from proxy.call.legs import Legs
from proxy.call.media_watch import Listening
from proxy.call.outcome import REFUSED_BY, Result
from proxy.call.routing import Number
from proxy.call.sound import Company
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction
from screening.contract import Refuse


class Reception:
    """Of one call; `invited` comes first, `close` last."""

    __slots__ = (
        "_listening",
        "answered",
        "around",
        "caller",
        "company",
        "failed",
        "legs",
        "number",
        "phone_tried",
        "switch",
        "tape",
    )

    caller: Leg

    def __init__(self, around: Surroundings, number: Number, legs: Legs, name: str) -> None:
        """`name` is that of the call."""
        self.around, self.number, self.legs = around, number, legs
        self.company = Company(legs.media, number.sound)
        self.switch = Switch.of(legs)
        self.tape: Tape | None = None
        """None where the call is not recorded."""
        if number.record:
            path = around.recording_dir / f"{name}.wav"
            self.tape = Tape(legs.media, legs.scribe, path)
        self.answered = False
        """Whether the caller was, or is about to be."""
        self.phone_tried = False
        """Whether a phone was rung for him."""
        self.failed = 0
        """The status for which no phone took the call."""
        self._listening: Listening | None = None

    def invited(self, caller: Leg, invite: ServerTransaction) -> None:
        """This is the caller's leg, and this its INVITE."""
        self.caller = caller
        caller.invited(invite)

    async def receive(self) -> None:
        """It rings. A call that is recorded is answered at once: the caller is told before he is heard.

        Nothing, for one who is answered already.
        """
        if self.answered:
            return
        self.company.ringing(self.caller)
        number = self.number
        if self.tape is not None and number.announcement is not None:
            await self.answer(None)
            await self.tape.announce(self.around.speech, number.announcement, number.language)
            self.legs.media.ringback("caller", True)

    async def answer(self, other: str | None, *, speaks: bool = True) -> None:
        """Caller and the other leg hear each other; the caller is answered if that is still owed.

        Raises one of NOT_TAKEN if a caller who was answered before cannot be switched over (see `Switch`).
        """
        if other is not None:
            self.legs.media.join("caller", other)
        if speaks:
            self.legs.media.ringback("caller", False)
        else:
            self.company.until_heard()
        if self.answered:
            return await self.switch.settled() if self.switch is not None else None
        self.answered = True
        self._listening = Listening(self.legs, self.around.hearing)
        try:
            await self.caller.answer()
        except OfferRefused as refusal:
            self.turn_away(refusal)
            raise LegEnded(self.caller, self.caller.ended.result()) from refusal
        self.legs.scribe.answered("caller")
        if self.tape is not None:
            self.tape.begin()

    def turn_away(self, refusal: OfferRefused) -> None:
        """Nothing can be agreed with the caller."""
        self.legs.scribe.step("turned away", str(refusal))
        self.legs.scribe.settle(Result.REFUSED, str(refusal))
        ends = EndReason.OVERLOADED if refusal.status == 503 else EndReason.MEDIA_REFUSED
        self.caller.end(ends, refusal.told(self.around.host))

    def refuse(self, plan: Refuse) -> None:
        """Turn the caller away; a 608 says where to complain (RFC 8688 §3.2)."""
        settled = Result.DECLINED if self.answered else Result.REFUSED
        self.legs.scribe.settle(settled, plan.reason or plan.why.value)
        card = self.number.reject_card if plan.status == 608 else None
        headers = (("Call-Info", f"<{card}>;purpose=jwscard"),) if card else ()
        self.caller.end(REFUSED_BY[plan.status], headers)

    def close(self) -> None:
        """The call is over: its media go, and its recording is kept."""
        if self._listening is not None:
            self._listening.stop()
        self.legs.media.close()
        if self.tape is not None:
            self.tape.close()
