"""The phrases that the edge itself speaks to callers and phones, by language."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.media import speech


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of one language."""

    caller: str
    withheld: str
    press: str
    keys: str
    """The further keys; said after `press`."""
    unscreened: str
    recorded: str
    protected: str
    put_through: str
    """Followed by a key and a full stop."""
    wrong: str
    goodbye: str

    def challenge(self, key: str, *, again: bool) -> str:
        """The sentence that asks for a key; `again`: after a wrong key, or none."""
        return f"{self.wrong if again else self.protected} {self.put_through} {key}."


LANGUAGES = {
    "en": Phrases(
        speech.FROM,
        speech.WITHHELD,
        speech.PRESS,
        speech.KEYS,
        speech.UNSCREENED,
        speech.RECORDED,
        speech.PROTECTED,
        speech.PUT_THROUGH,
        speech.WRONG_KEY,
        speech.GOODBYE,
    ),
    "de": Phrases(
        "Anruf von",
        "jemandem ohne Rufnummer",
        "Drücken Sie die 1, um anzunehmen, die 2 für die Mailbox.",
        "Mit der 3 sperren Sie den Anrufer, mit der Sterntaste lassen Sie ihn immer durch.",
        "Der Anrufer wurde nicht befragt.",
        "Dieses Gespräch wird aufgezeichnet.",
        "Diese Nummer ist geschützt.",
        "Um verbunden zu werden, drücken Sie die",
        "Das war nicht die richtige Taste.",
        "Auf Wiederhören.",
    ),
    "fr": Phrases(
        "Appel de",
        "quelqu'un sans numéro",
        "Appuyez sur 1 pour accepter, sur 2 pour la messagerie.",
        "Sur 3 pour bloquer cet appelant, sur étoile pour toujours le laisser passer.",
        "L'appelant n'a pas été interrogé.",
        "Cet appel est enregistré.",
        "Ce numéro est protégé.",
        "Pour être mis en relation, appuyez sur",
        "Ce n'était pas la bonne touche.",
        "Au revoir.",
    ),
    "es": Phrases(
        "Llamada de",
        "alguien sin número",
        "Pulse 1 para aceptar, 2 para el buzón de voz.",
        "Pulse 3 para bloquear al que llama, asterisco para dejarlo pasar siempre.",
        "No se ha preguntado quién llama.",
        "Esta llamada se graba.",
        "Este número está protegido.",
        "Para que le pasen la llamada, pulse",
        "No era la tecla correcta.",
        "Adiós.",
    ),
}


def phrases_for(language: str) -> Phrases:
    """The phrases of a language tag such as ``de`` or ``de-AT``; the English ones if there are none."""
    return LANGUAGES.get(language.partition("-")[0].lower(), LANGUAGES["en"])
