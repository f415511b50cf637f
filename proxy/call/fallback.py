"""What a caller gets when nobody takes the call: voicemail, a key challenge, or a refusal."""

from __future__ import annotations

from proxy.call.caller import Reception
from proxy.call.challenge import Challenge
from proxy.call.outcome import NOT_TAKEN, OnFailure, Result
from proxy.call.race import GLOBAL_FAILURE
from proxy.call.voicemail import Message
from proxy.ua.reason import EndReason


class Fallback:
    """What the caller of one call gets instead of somebody to talk to. Ends the agent's leg, if any."""

    __slots__ = ("_context", "_legs", "_name", "_number", "_reception")

    def __init__(self, reception: Reception, name: str) -> None:
        """`name`: the call's name, which a message's file gets too."""
        self._reception, self._name = reception, name
        self._context, self._number, self._legs = reception.context, reception.number, reception.legs

    async def unanswered(self, why: str, then: OnFailure) -> None:
        """Nobody takes the call: take a message, unless `then` says to reject."""
        if then is not OnFailure.REJECT:
            return await self.message(why)
        rung = self._reception.answered or self._reception.phone_tried
        self._legs.journal.settle(Result.UNANSWERED if rung else Result.REFUSED, why)
        await self.sorry()

    async def message(self, why: str) -> None:
        """Take a voicemail message, until hang-up, silence or the limit."""
        number, legs = self._number, self._legs
        if (refusal := await self._alone()) is not None:
            legs.journal.step("voicemail not possible", refusal)
            legs.journal.settle(Result.UNANSWERED, why)
            return await self.sorry()
        greeting, language = number.sound.greeting, number.language
        speech = self._context.speech
        message = Message(number.voicemail, legs.media, speech, language, legs.journal, greeting)
        if not await message.taken(self._context.voicemail_dir / f"{self._name}.wav", why):
            await self.sorry()

    async def challenge(self, why: str) -> bool:
        """Whether the caller presses the key that is announced; plays ringback after that."""
        legs = self._legs
        if (refusal := await self._alone()) is not None:
            legs.journal.step("challenge not possible", refusal)
            return False
        legs.journal.challenged(why)
        if not await self._challenge().passed():
            return False
        legs.media.fill("caller", None)
        legs.media.ringback("caller", True)
        return True

    async def not_admitted(self, why: str) -> None:
        """The caller failed the challenge: take a message, or reject if so configured."""
        why = f"no right key was pressed: {why}"
        if not self._number.challenge.rejects or not self._reception.answered:
            return await self.message(why)
        self._legs.journal.settle(Result.DECLINED, why)
        await self._challenge().goodbye()

    def _challenge(self) -> Challenge:
        number, legs = self._number, self._legs
        bits = legs.core.ids.bits
        speech = self._context.speech
        return Challenge(number.challenge, legs.media, speech, number.language, legs.journal, bits)

    async def _alone(self) -> str | None:
        """Answer the caller, connected with us alone; returns why that is not possible, or None."""
        reception = self._reception
        self._legs.end("agent", EndReason.COMPLETED)
        reception.company.alone()
        try:
            await reception.answer(None)
        except NOT_TAKEN as refusal:  # audio is direct, and the caller refuses to send it to us
            if reception.caller.ended.done():
                raise
            return str(refusal)
        return None

    async def sorry(self) -> None:
        """Tell the caller that nobody takes the call: by prompt or tone if answered, else by a SIP status."""
        self._legs.end("agent", EndReason.COMPLETED)
        reception = self._reception
        busy = reception.failed in (486, GLOBAL_FAILURE)
        if not reception.answered:
            return reception.caller.end(EndReason.BUSY if busy else EndReason.UNANSWERED)
        self._legs.journal.step("caller told", reception.company.told(busy=busy))
        await reception.company.sorry(busy=busy)
