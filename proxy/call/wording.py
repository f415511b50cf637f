"""What is said to a phone before it is connected: few words, and nothing in them but words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.call.border import Identity
from proxy.call.routing import Confirmation
from proxy.media import speech
from screening.contract import Connect, Verdict

MOST_NAME, MOST_REASON = 60, 160
"""Characters of a caller's name and reason that are spoken."""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one language."""

    caller: str
    withheld: str
    press: str
    unscreened: str
    recorded: str


LANGUAGES = {
    "en": Words(speech.FROM, speech.WITHHELD, speech.PRESS, "The caller was not screened.", speech.RECORDED),
    "de": Words(
        "Anruf von",
        "jemandem ohne Rufnummer",
        "Drücken Sie die 1, um anzunehmen, die 2 für die Mailbox.",
        "Der Anrufer wurde nicht befragt.",
        "Dieses Gespräch wird aufgezeichnet.",
    ),
    "fr": Words(
        "Appel de",
        "quelqu'un sans numéro",
        "Appuyez sur 1 pour accepter, sur 2 pour la messagerie.",
        "L'appelant n'a pas été interrogé.",
        "Cet appel est enregistré.",
    ),
    "es": Words(
        "Llamada de",
        "alguien sin número",
        "Pulse 1 para aceptar, 2 para el buzón de voz.",
        "No se ha preguntado quién llama.",
        "Esta llamada se graba.",
    ),
}


@dataclass(frozen=True, slots=True)
class Announced:
    """Who is announced to a phone."""

    name: str | None = None
    number: str | None = None
    reason: str | None = None
    unscreened: bool = False
    recorded: bool = False
    """Whether the call is recorded, and whoever is called should know."""

    @classmethod
    def of(cls, caller: Identity, decided: Verdict | None, *, unscreened: bool, recorded: bool) -> Announced:
        """By what the agent found out; else by what the carrier says."""
        wanted = decided if isinstance(decided, Connect) else None
        name = (wanted and wanted.caller_name) or caller.name
        return cls(name, caller.number, wanted.reason if wanted else None, unscreened, recorded)

    def text(self, language: str, wanted: Confirmation) -> str:
        """What is said where this is wanted; empty: nothing."""
        words = LANGUAGES.get(language.partition("-")[0].lower(), LANGUAGES["en"])
        if wanted is Confirmation.OFF:
            return words.recorded if self.recorded else ""
        who = speakable(self.name, MOST_NAME) or digits(self.number) or words.withheld
        parts = [f"{words.caller} {who}."]
        if reason := speakable(self.reason, MOST_REASON):
            parts.append(reason if reason[-1] in ".?!" else f"{reason}.")
        parts += [words.unscreened] * self.unscreened + [words.recorded] * self.recorded
        return " ".join([*parts, words.press] if wanted is Confirmation.PRESS_1 else parts)

    def generic(self, wanted: Confirmation) -> str:
        """What the recorded prompts can say of it."""
        if wanted is Confirmation.OFF:
            return speech.RECORDED
        number = digits(self.number)
        parts = [f"{speech.FROM} {number}." if number else speech.A_CALL]
        parts += [speech.RECORDED] * self.recorded
        return " ".join([*parts, speech.PRESS] if wanted is Confirmation.PRESS_1 else parts)


def speakable(text: str | None, most: int) -> str:
    """Letters, digits and plain punctuation of a stranger's text, cut at a word: no markup of any voice."""
    plain = " ".join(re.sub(r"[^\w\s.,;:'?!&-]|_", " ", text or "").split())
    return plain if len(plain) <= most else plain[: most + 1].rpartition(" ")[0] or plain[:most]


def digits(number: str | None) -> str:
    """A number digit by digit; empty where it has none."""
    return " ".join(re.findall(r"[0-9]", number or ""))
