"""The text of the whisper: short, and free of markup, since parts of it come from the caller."""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.call.border import Identity
from proxy.call.phrases import phrases_for
from proxy.call.routing import WITHOUT_WHISPER, Confirmation
from proxy.media import speech
from screening.contract import Connect, Verdict

MAX_NAME, MAX_REASON = 60, 160
"""Limits to the characters of a caller's name and reason that are spoken."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is announced to a phone about a caller."""

    name: str | None = None
    number: str | None = None
    reason: str | None = None
    unscreened: bool = False
    recorded: bool = False
    """Whether the call is recorded and the phone must be told so."""
    keys: bool = False
    """Whether keys to block and to trust the caller are offered."""

    @classmethod
    def of(
        cls,
        caller: Identity,
        decided: Verdict | None,
        *,
        unscreened: bool,
        recorded: bool,
        keys: bool = False,
    ) -> Announcement:
        """From what the agent found out, else from what the carrier says."""
        connect = decided if isinstance(decided, Connect) else None
        name = (connect and connect.caller_name) or caller.name
        return cls(name, caller.number, connect.reason if connect else None, unscreened, recorded, keys)

    def text(self, language: str, confirmation: Confirmation) -> str:
        """The text for this kind of confirmation; empty if nothing is to be said."""
        if (
            confirmation in WITHOUT_WHISPER and not self.recorded and not self._warns(confirmation)
        ):  # most calls
            return ""
        phrases = phrases_for(language)
        known = [phrases.unscreened] * self._warns(confirmation) + [phrases.recorded] * self.recorded
        if confirmation in WITHOUT_WHISPER:
            return " ".join(known)
        who = speakable(self.name, MAX_NAME) or digits(self.number) or phrases.withheld
        parts = [f"{phrases.caller} {who}."]
        if reason := speakable(self.reason, MAX_REASON):
            parts.append(reason if reason[-1] in ".?!" else f"{reason}.")
        parts += known
        if confirmation is Confirmation.PRESS_1:
            parts += [phrases.press] + [phrases.keys] * self.keys
        return " ".join(parts)

    def _warns(self, confirmation: Confirmation) -> bool:
        return self.unscreened and confirmation is not Confirmation.OFF

    def generic(self, confirmation: Confirmation) -> str:
        """The same as far as recorded prompts can say it: without name and reason."""
        known = [speech.UNSCREENED] * self._warns(confirmation) + [speech.RECORDED] * self.recorded
        if confirmation in WITHOUT_WHISPER:
            return " ".join(known)
        number = digits(self.number)
        parts = [f"{speech.FROM} {number}." if number else speech.A_CALL, *known]
        if confirmation is Confirmation.PRESS_1:
            parts += [speech.PRESS] + [speech.KEYS] * self.keys
        return " ".join(parts)


def speakable(text: str | None, limit: int) -> str:
    """Letters, digits and plain punctuation of untrusted text, cut at a word: no speech markup is left."""
    plain = " ".join(re.sub(r"[^\w\s.,;:'?!&-]|_", " ", text or "").split())
    return plain if len(plain) <= limit else plain[: limit + 1].rpartition(" ")[0] or plain[:limit]


def digits(number: str | None) -> str:
    """The digits of a number, separated by spaces to be spoken one by one; empty if there are none."""
    return " ".join(re.findall(r"[0-9]", number or ""))
