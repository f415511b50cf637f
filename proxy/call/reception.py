"""The caller of one call: it rings for him, he is answered once, and hears whoever is joined with him."""

from __future__ import annotations

from proxy.call.legs import Legs
from proxy.call.listening import Listening
from proxy.call.outcome import Result
from proxy.call.routing import Number
from proxy.call.sound import Company
from proxy.call.surroundings import Surroundings
from proxy.call.switch import Switch
from proxy.call.tape import Tape
from proxy.ua.errors import LegEnded, OfferRefused
from proxy.ua.leg import Leg
from proxy.ua.reason import EndReason
from proxy.ua.transactions import ServerTransaction


class Reception:
    """Of one call; `invited` comes first, `close` last."""

    __slots__ = (
        "_around",
        "_legs",
        "_listening",
        "_number",
        "answered",
        "caller",
        "company",
        "switch",
        "tape",
    )

    caller: Leg

    def __init__(self, around: Surroundings, number: Number, legs: Legs, name: str) -> None:
        """`name` is that of the call."""
        self._around, self._number, self._legs = around, number, legs
        self.company = Company(legs.media, number.sound)
        self.switch = Switch.of(legs)
        self.tape: Tape | None = None
        """None where the call is not recorded."""
        if number.record:
            path = around.recording_dir / f"{name}.wav"
            self.tape = Tape(legs.media, legs.scribe, around.wall_clock, path)
        self.answered = False
        """Whether the caller was, or is about to be."""
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
        number = self._number
        if self.tape is not None and number.announcement is not None:
            await self.answer(None)
            await self.tape.announce(self._around.speech, number.announcement, number.language)
            self._legs.media.ringback("caller", True)

    async def answer(self, other: str | None, *, speaks: bool = True) -> None:
        """Caller and the other leg hear each other; the caller is answered if that is still owed.

        Raises one of NOT_TAKEN if a caller who was answered before cannot be switched over (see `Switch`).
        """
        if other is not None:
            self._legs.media.join("caller", other)
        if speaks:
            self._legs.media.ringback("caller", False)
        else:
            self.company.until_heard()
        if self.answered:
            return await self.switch.settled() if self.switch is not None else None
        self.answered = True
        self._listening = Listening(self._legs, self._around.hearing)
        try:
            await self.caller.answer()
        except OfferRefused as refusal:
            self.turn_away(refusal)
            raise LegEnded(self.caller, self.caller.ended.result()) from refusal
        self._legs.scribe.answered("caller")
        if self.tape is not None:
            self.tape.begin()

    def turn_away(self, refusal: OfferRefused) -> None:
        """Nothing can be agreed with the caller."""
        self._legs.scribe.settle(Result.REFUSED, str(refusal))
        ends = EndReason.OVERLOADED if refusal.status == 503 else EndReason.MEDIA_REFUSED
        self.caller.end(ends, refusal.told(self._around.host))

    def close(self) -> None:
        """The call is over: its media go, and its recording is kept."""
        if self._listening is not None:
            self._listening.stop()
        self._legs.media.close()
        if self.tape is not None:
            self.tape.close()
