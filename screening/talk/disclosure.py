"""Detects whether a greeting discloses an automated assistant; supplies the notice that a call
is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from screening.talk.languages import primary_subtag

_AUTOMATED = re.compile(
    r"automat|autom[aá]t|virtu[ae]|artificial|artificiel|künstlich|kunstmatig|robot|chatbot|machine|"
    r"máquina|macchina|maschin|computer|ordenador|ordinateur|voice assistant|sprachassistent|"
    r"assistant vocal|asistente de voz|assistente vocale|\b(?:A\.?I|K\.?I|I\.?A)\b",
    re.IGNORECASE,
)

NOTICES: Mapping[str, tuple[str, str, str]] = {
    "en": ("This call is transcribed.", "This call is recorded.", "This call is recorded and transcribed."),
    "de": (
        "Dieses Gespräch wird mitgeschrieben.",
        "Dieses Gespräch wird aufgezeichnet.",
        "Dieses Gespräch wird aufgezeichnet und mitgeschrieben.",
    ),
    "es": ("Esta llamada se transcribe.", "Esta llamada se graba.", "Esta llamada se graba y se transcribe."),
    "fr": ("Cet appel est transcrit.", "Cet appel est enregistré.", "Cet appel est enregistré et transcrit."),
    "it": (
        "Questa chiamata viene trascritta.",
        "Questa chiamata viene registrata.",
        "Questa chiamata viene registrata e trascritta.",
    ),
    "nl": (
        "Dit gesprek wordt uitgeschreven.",
        "Dit gesprek wordt opgenomen.",
        "Dit gesprek wordt opgenomen en uitgeschreven.",
    ),
    "pt": ("Esta chamada é transcrita.", "Esta chamada é gravada.", "Esta chamada é gravada e transcrita."),
}
"""By language: the notice for a transcript, for a recording, and for both."""


def says_automated(text: str) -> bool:
    """Whether the text contains a word for an automated assistant, in any of the supported languages."""
    return _AUTOMATED.search(text) is not None


def consent(language: str, *, transcribed: bool, recorded: bool) -> str:
    """Return the recording notice, empty if none is due; in English if the language is not supported."""
    if not (transcribed or recorded):
        return ""
    written, taped, both = NOTICES.get(primary_subtag(language), NOTICES["en"])
    return both if transcribed and recorded else taped if recorded else written
