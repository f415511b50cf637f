"""What is said to a phone before it is connected: few words, and nothing in them but words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.call.border import Identity
from proxy.call.phrases import words_of
from proxy.call.routing import NOT_ASKED, Confirmation
from proxy.media import speech
from screening.contract import Connect, Verdict

MAX_NAME, MAX_REASON = 60, 160
"""Characters of a caller's name and reason that are spoken."""


@dataclass(frozen=True, slots=True)
class Announced:
    """Who is announced to a phone."""

    name: str | None = None
    number: str | None = None
    reason: str | None = None
    unscreened: bool = False
    recorded: bool = False
    """Whether the call is recorded, and whoever is called should know."""
    keys: bool = False
    """Whether there are keys to block and to trust the caller."""

    @classmethod
    def of(
        cls,
        caller: Identity,
        decided: Verdict | None,
        *,
        unscreened: bool,
        recorded: bool,
        keys: bool = False,
    ) -> Announced:
        """By what the agent found out; else by what the carrier says."""
        wanted = decided if isinstance(decided, Connect) else None
        name = (wanted and wanted.caller_name) or caller.name
        return cls(name, caller.number, wanted.reason if wanted else None, unscreened, recorded, keys)

    def text(self, language: str, wanted: Confirmation) -> str:
        """What is said where this is wanted; empty: nothing."""
        if wanted in NOT_ASKED and not self.recorded and not self._warned(wanted):  # as of most calls
            return ""
        words = words_of(language)
        known = [words.unscreened] * self._warned(wanted) + [words.recorded] * self.recorded
        if wanted in NOT_ASKED:
            return " ".join(known)
        who = speakable(self.name, MAX_NAME) or digits(self.number) or words.withheld
        parts = [f"{words.caller} {who}."]
        if reason := speakable(self.reason, MAX_REASON):
            parts.append(reason if reason[-1] in ".?!" else f"{reason}.")
        parts += known
        if wanted is Confirmation.PRESS_1:
            parts += [words.press] + [words.keys] * self.keys
        return " ".join(parts)

    def _warned(self, wanted: Confirmation) -> bool:
        return self.unscreened and wanted is not Confirmation.OFF

    def generic(self, wanted: Confirmation) -> str:
        """What the recorded prompts can say of it."""
        known = [speech.UNSCREENED] * self._warned(wanted) + [speech.RECORDED] * self.recorded
        if wanted in NOT_ASKED:
            return " ".join(known)
        number = digits(self.number)
        parts = [f"{speech.FROM} {number}." if number else speech.A_CALL, *known]
        if wanted is Confirmation.PRESS_1:
            parts += [speech.PRESS] + [speech.KEYS] * self.keys
        return " ".join(parts)


def speakable(text: str | None, most: int) -> str:
    """Letters, digits and plain punctuation of a stranger's text, cut at a word: no markup of any voice."""
    plain = " ".join(re.sub(r"[^\w\s.,;:'?!&-]|_", " ", text or "").split())
    return plain if len(plain) <= most else plain[: most + 1].rpartition(" ")[0] or plain[:most]


def digits(number: str | None) -> str:
    """A number digit by digit; empty where it has none."""
    return " ".join(re.findall(r"[0-9]", number or ""))
