"""Languages: their English names, and the countries they are spoken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NAMES: Mapping[str, str] = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fi": "Finnish", "fr": "French",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sr": "Serbian", "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip

COUNTRIES: Mapping[str, frozenset[str]] = {
    "de": frozenset({"DE", "AT", "CH", "LI"}),
    "en": frozenset({"US", "GB", "IE", "AU", "NZ", "CA", "ZA", "IN", "SG", "JM"}),
    "es": frozenset(
        ("ES", "MX", "AR", "CO", "CL", "PE", "VE", "EC", "GT", "CU", "BO", "DO", "HN", "PY", "SV", "NI", "CR",
         "PA", "UY", "PR", "GQ")
    ),
    "fr": frozenset(("FR", "BE", "CH", "CA", "LU", "MC", "SN", "CI", "CM", "ML", "BF", "NE", "TG", "BJ")),
    "it": frozenset({"IT", "CH", "SM", "VA"}),
    "nl": frozenset({"NL", "BE", "SR"}),
    "pt": frozenset({"PT", "BR", "AO", "MZ", "CV"}),
    "pl": frozenset({"PL"}),
    "sv": frozenset({"SE", "FI"}),
    "da": frozenset({"DK"}),
    "no": frozenset({"NO"}),
    "tr": frozenset({"TR"}),
    "ja": frozenset({"JP"}),
}  # fmt: skip
"""Countries where a language is common; one not listed here is never chosen by the caller's number."""


def primary_subtag(language: str) -> str:
    """Return the primary subtag: ``pt`` for ``pt-BR``."""
    return language.partition("-")[0].lower()


def english_name(language: str) -> str:
    """Return the language's English name."""
    return NAMES.get(primary_subtag(language), f"the language with the code {language}")


def choose(languages: Sequence[str], country: str | None) -> str:
    """Return the language to greet a caller from this country in: the first one spoken there, else
    the first.
    """
    spoken = (each for each in languages if country and country in COUNTRIES.get(primary_subtag(each), ()))
    return next(spoken, languages[0])
