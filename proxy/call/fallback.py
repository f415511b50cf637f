"""What a caller gets when nobody takes the call: voicemail, a key challenge, or a refusal."""

from __future__ import annotations

from proxy.call.caller import CallerSide
from proxy.call.challenge import Challenge
from proxy.call.outcome import NOT_TAKEN, OnFailure, Result
from proxy.call.race import GLOBAL_FAILURE
from proxy.call.voicemail import VoicemailMessage
from proxy.ua.reason import EndReason


class Fallback:
    """What the caller of one call gets instead of somebody to talk to. Ends the agent's leg, if any."""

    __slots__ = ("_caller", "_context", "_legs", "_name", "_number")

    def __init__(self, caller: CallerSide, name: str) -> None:
        """`name`: the call's name, which a message's file gets too."""
        self._caller, self._name = caller, name
        self._context, self._number, self._legs = caller.context, caller.number, caller.legs

    async def unanswered(self, why: str, then: OnFailure) -> None:
        """Nobody takes the call: take a message, unless `then` says to reject."""
        if then is not OnFailure.REJECT:
            return await self.take_message(why)
        rung = self._caller.answered or self._caller.phone_rung
        self._legs.journal.settle(Result.UNANSWERED if rung else Result.REFUSED, why)
        await self.say_unavailable()

    async def take_message(self, why: str) -> None:
        """Take a voicemail message, until hang-up, silence or the limit."""
        number, legs = self._number, self._legs
        if (refusal := await self._answer_alone()) is not None:
            legs.journal.step("voicemail not possible", refusal)
            legs.journal.settle(Result.UNANSWERED, why)
            return await self.say_unavailable()
        greeting, language = number.sound.greeting, number.language
        speech = self._context.speech
        message = VoicemailMessage(number.voicemail, legs.media, speech, language, legs.journal, greeting)
        if not await message.take(self._context.voicemail_dir / f"{self._name}.wav", why):
            await self.say_unavailable()

    async def challenge(self, why: str) -> bool:
        """Whether the caller presses the key that is announced; plays ringback after that."""
        legs = self._legs
        if (refusal := await self._answer_alone()) is not None:
            legs.journal.step("challenge not possible", refusal)
            return False
        legs.journal.challenged(why)
        if not await self._challenge().passed():
            return False
        legs.media.fill("caller", None)
        legs.media.ringback("caller", True)
        return True

    async def challenge_failed(self, why: str) -> None:
        """The caller failed the challenge: take a message, or reject if so configured."""
        why = f"no right key was pressed: {why}"
        if not self._number.challenge.rejects or not self._caller.answered:
            return await self.take_message(why)
        self._legs.journal.settle(Result.DECLINED, why)
        await self._challenge().goodbye()

    def _challenge(self) -> Challenge:
        number, legs = self._number, self._legs
        bits = legs.core.ids.bits
        speech = self._context.speech
        return Challenge(number.challenge, legs.media, speech, number.language, legs.journal, bits)

    async def _answer_alone(self) -> str | None:
        """Answer the caller, connected with us alone; returns why that is not possible, or None."""
        caller = self._caller
        self._legs.end("agent", EndReason.COMPLETED)
        caller.sounds.play_silence()
        try:
            await caller.answer(None)
        except NOT_TAKEN as refusal:  # audio is direct, and the caller refuses to send it to us
            if caller.leg.ended.done():
                raise
            return str(refusal)
        return None

    async def say_unavailable(self) -> None:
        """Tell the caller that nobody takes the call: by prompt or tone if answered, else by a SIP status."""
        self._legs.end("agent", EndReason.COMPLETED)
        caller = self._caller
        busy = caller.failed_status in (486, GLOBAL_FAILURE)
        if not caller.answered:
            return caller.leg.end(EndReason.BUSY if busy else EndReason.UNANSWERED)
        self._legs.journal.step("caller told", caller.sounds.unavailable_sound(busy=busy))
        await caller.sounds.play_unavailable(busy=busy)
