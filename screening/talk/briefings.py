"""The briefings of one number: its templates filled in at the start, but for what is known only of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from screening.callers.numbering import country_of
from screening.contract import Caller
from screening.settings import TalkSettings
from screening.talk import disclosure, languages, template
from screening.talk.briefing import Briefing
from screening.talk.template import BadTemplate, Template
from screening.talk.tools import Tools
from screening.talk.untrusted_text import quoted

log = structlog.get_logger("screendoor")

ALWAYS = ("name", "language", "languages", "dialed", "destinations", "hours", "tools", "consent")
"""What a greeting may ask for."""
INSTRUCTED = (*ALWAYS, "greeting", "caller")
"""What instructions may ask for."""
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Known:
    """What a template may say of a caller."""

    known: bool = False
    """The number is on the allow list, or among the contacts."""
    verified: bool = False
    """The caller's carrier has signed that the number is his own."""
    withheld: bool = False
    country: str = ""
    """Of the number, as two letters; empty where there is none to name."""
    name: str = ""
    """The name that is shown, in quotation marks and said to be the caller's own choice; empty for none."""

    @classmethod
    def of(cls, caller: Caller, number: str | None, *, known: bool) -> Known:
        """By what the edge says; `number` is the caller's in E.164."""
        country = country_of(number) if number is not None and number.startswith("+") else None
        signed = caller.verification
        verified = signed is not None and signed.result == "passed" and signed.attest == "A"
        return cls(known, verified, number is None, country or "", quoted(caller.name, LONGEST_NAME))


SAMPLES = (Known(), Known(True, True, False, "US", quoted("Anna", LONGEST_NAME)), Known(withheld=True))
"""Callers for whom every template must hold."""


class BadTalk(ValueError):
    """Templates of a number that cannot be used."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {problem}" for key, problem in problems.items()))
        self.problems = problems
        """What is wrong, by the key that it stands under: ``greeting`` or ``instructions``, and ``.de`` and
        the like where it is one of several languages.
        """


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One language of a number."""

    briefing: Briefing
    values: Mapping[str, object]
    of_caller: Template | None
    """What is filled in for each call; None: nothing is known of a caller that it would say."""
    whole: bool
    """It is the instructions; else it is said after them."""


class Briefings:
    """Those of one number, a language each; raises BadTalk with everything that is wrong."""

    def __init__(self, talk: TalkSettings) -> None:
        self._talk = talk
        problems: dict[str, str] = {}
        self._spoken = {each: spoken for each in talk.languages if (spoken := self._prepared(each, problems))}
        if problems:
            raise BadTalk(problems)

    def brief(self, caller: Caller, number: str | None, *, known: bool) -> Briefing:
        """What the agent of this call is told; `number` is the caller's in E.164."""
        about = Known.of(caller, number, known=known)
        spoken = self._spoken[languages.chosen(self._talk.languages, about.country or None)]
        if spoken.of_caller is None:
            return spoken.briefing
        try:
            text = spoken.of_caller.filled({**spoken.values, "caller": about}).strip()
        except BadTemplate as bad:  # it held for the samples, and a call is never lost by it
            log.warning("template not filled in", why=str(bad))
            return spoken.briefing
        before = "" if spoken.whole else f"{spoken.briefing.instructions}\n\n"
        return replace(spoken.briefing, instructions=before + text)

    def by_language(self) -> Mapping[str, Briefing]:
        """What the agent is told of a caller of whom nothing is known."""
        return {language: spoken.briefing for language, spoken in self._spoken.items()}

    def _prepared(self, language: str, problems: dict[str, str]) -> _Spoken | None:
        talk = self._talk
        tools = Tools(talk.optional_tools, talk.places)
        values: dict[str, object] = {
            "name": talk.name,
            "language": languages.named(language),
            "languages": tuple(map(languages.named, talk.languages)),
            "dialed": talk.dialed,
            "destinations": talk.places,
            "hours": talk.hours,
            "tools": tools.names,
            "consent": disclosure.consent(language, transcribed=talk.transcribed, recorded=talk.recorded),
        }
        greeting = self._greeting(language, values, problems)
        values["greeting"] = greeting.greeting if greeting is not None else ""
        key, text, own = _chosen("instructions", talk.instructions, language)
        try:
            instructions = Template(text or template.built_in("instructions.md"), INSTRUCTED)
            filled = [instructions.filled({**values, "caller": each}) for each in SAMPLES]
        except BadTemplate as bad:
            problems[key] = str(bad)
            return None
        if greeting is None:
            return None
        whole = "caller" in instructions.asks
        of_caller = instructions if whole else None
        if not (own and text):
            of_caller = Template(template.built_in("caller.md"), INSTRUCTED)
        briefing = replace(greeting, instructions=filled[0].strip(), tools=tools, keys=talk.keys)
        return _Spoken(briefing, values, of_caller, whole)

    def _greeting(
        self, language: str, values: Mapping[str, object], problems: dict[str, str]
    ) -> Briefing | None:
        """A briefing with nothing but the greeting; None where its template cannot be used."""
        key, text, own = _chosen("greeting", self._talk.greeting or {}, language)
        if own and not text:
            return Briefing(language=language)
        known = {*template.languages()}
        there = languages.base(language) in known
        if not own:
            text = template.built_in(f"greeting.{languages.base(language) if there else 'en'}.txt")
        try:
            read = Template(text, ALWAYS)
            said = " ".join(read.filled(values).split())
        except BadTemplate as bad:
            problems[key] = str(bad)
            return None
        consent = str(values["consent"])
        if consent and "consent" not in read.asks:
            said = f"{said} {consent}"  # callers are told, whoever wrote the greeting
        return Briefing(
            greeting=said,
            language=language,
            translated=not there and (not own or bool(consent)),
            heard_out=bool(consent),
        )


def _chosen(key: str, texts: Mapping[str, str], language: str) -> tuple[str, str, bool]:
    """The template for a language, under which key it stands, and whether there is one."""
    for name in (language, languages.base(language)):
        if name in texts:
            return f"{key}.{name}", texts[name], True
    return key, texts.get("", ""), "" in texts
