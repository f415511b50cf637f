"""Where nobody takes the call: a message, or words that say so; by a status, to one who is not answered."""

from __future__ import annotations

from proxy.call.caller import Reception
from proxy.call.challenge import Challenge
from proxy.call.outcome import NOT_TAKEN, OnFailure, Result
from proxy.call.race import GLOBAL_FAILURE
from proxy.call.voicemail import Message
from proxy.ua.reason import EndReason


class Fallback:
    """What the caller of one call gets instead of somebody to talk to. An agent in the call is let go."""

    __slots__ = ("_around", "_legs", "_name", "_number", "_reception")

    def __init__(self, reception: Reception, name: str) -> None:
        """`name` is that of the call, and of a message's file."""
        self._reception, self._name = reception, name
        self._around, self._number, self._legs = reception.around, reception.number, reception.legs

    async def unanswered(self, why: str, then: OnFailure) -> None:
        """Nobody takes the call: a message, unless callers are rejected then."""
        if then is not OnFailure.REJECT:
            return await self.message(why)
        rung = self._reception.answered or self._reception.phone_tried
        self._legs.scribe.settle(Result.UNANSWERED if rung else Result.REFUSED, why)
        await self.sorry()

    async def message(self, why: str) -> None:
        """Record what the caller says until hang-up, silence or the limit."""
        number, legs = self._number, self._legs
        if (refusal := await self._alone()) is not None:
            legs.scribe.step("voicemail not possible", refusal)
            legs.scribe.settle(Result.UNANSWERED, why)
            return await self.sorry()
        greeting, language = number.sound.greeting, number.language
        speech = self._around.speech
        message = Message(number.voicemail, legs.media, speech, language, legs.scribe, greeting)
        if not await message.taken(self._around.voicemail_dir / f"{self._name}.wav", why):
            await self.sorry()

    async def challenge(self, why: str) -> bool:
        """Whether the caller presses the key that he is told; it rings for him then."""
        legs = self._legs
        if (refusal := await self._alone()) is not None:
            legs.scribe.step("challenge not possible", refusal)
            return False
        legs.scribe.challenged(why)
        if not await self._challenge().passed():
            return False
        legs.media.fill("caller", None)
        legs.media.ringback("caller", True)
        return True

    async def not_admitted(self, why: str) -> None:
        """He has not: a message, unless such callers are sent away."""
        why = f"no right key was pressed: {why}"
        if not self._number.challenge.rejects or not self._reception.answered:
            return await self.message(why)
        self._legs.scribe.settle(Result.DECLINED, why)
        await self._challenge().goodbye()

    def _challenge(self) -> Challenge:
        number, legs = self._number, self._legs
        bits = legs.core.ids.bits
        speech = self._around.speech
        return Challenge(number.challenge, legs.media, speech, number.language, legs.scribe, bits)

    async def _alone(self) -> str | None:
        """Nobody is with the caller but us, and he is answered; returns why that is not possible, or None."""
        reception = self._reception
        self._legs.end("agent", EndReason.COMPLETED)
        reception.company.alone()
        try:
            await reception.answer(None)
        except NOT_TAKEN as refusal:  # its audio passes us by, and it will not have that changed
            if reception.caller.ended.done():
                raise
            return str(refusal)
        return None

    async def sorry(self) -> None:
        """A caller who was answered is told by words or a tone, any other by a status: busy, or nobody."""
        self._legs.end("agent", EndReason.COMPLETED)
        reception = self._reception
        busy = reception.failed in (486, GLOBAL_FAILURE)
        if not reception.answered:
            return reception.caller.end(EndReason.BUSY if busy else EndReason.UNANSWERED)
        self._legs.scribe.step("caller told", reception.company.told(busy=busy))
        await reception.company.sorry(busy=busy)
