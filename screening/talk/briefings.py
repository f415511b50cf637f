"""The briefings of one number: templates rendered at startup, except for what depends on the caller."""

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

GREETING_VARIABLES = ("name", "language", "languages", "dialed", "destinations", "hours", "tools", "consent")
"""Variables available to a greeting."""
INSTRUCTIONS_VARIABLES = (*GREETING_VARIABLES, "greeting", "caller")
"""Variables available to instructions."""
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """The ``caller`` variable of a template."""

    known: bool = False
    """The number is on the allow list or in the contacts."""
    verified: bool = False
    """STIR/SHAKEN attestation A: the originating carrier vouches for the number."""
    withheld: bool = False
    country: str = ""
    """Two-letter country of the number; empty if unknown."""
    name: str = ""
    """The display name, quoted and marked as chosen by the caller; empty if there is none."""

    @classmethod
    def of(cls, caller: Caller, number: str | None, *, known: bool) -> CallerFacts:
        """Make it from what the edge reports; `number` is the caller's in E.164."""
        country = country_of(number) if number is not None and number.startswith("+") else None
        signed = caller.verification
        verified = signed is not None and signed.result == "passed" and signed.attest == "A"
        return cls(known, verified, number is None, country or "", quoted(caller.name, LONGEST_NAME))


SAMPLES = (
    CallerFacts(),
    CallerFacts(True, True, False, "US", quoted("Anna", LONGEST_NAME)),
    CallerFacts(withheld=True),
)
"""Sample callers that every template is tested with at startup."""


class BadTemplates(ValueError):
    """A number's templates cannot be used."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {problem}" for key, problem in problems.items()))
        self.problems = problems
        """Problems by settings key: ``greeting`` or ``instructions``, with ``.de`` or the like appended for
        one of several languages.
        """


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is prepared for one language of a number."""

    briefing: Briefing
    values: Mapping[str, object]
    caller_template: Template | None
    """The template rendered for each call; None if none depends on the caller."""
    replaces_instructions: bool
    """`caller_template` is all of the instructions; otherwise it is appended to them."""


class Briefings:
    """The briefings of one number by language; raises BadTemplates listing every problem."""

    def __init__(self, talk: TalkSettings) -> None:
        self._talk = talk
        problems: dict[str, str] = {}
        self._prepared = {
            each: prepared for each in talk.languages if (prepared := self._prepare(each, problems))
        }
        if problems:
            raise BadTemplates(problems)

    def brief(self, caller: Caller, number: str | None, *, known: bool) -> Briefing:
        """Return the briefing for this call; `number` is the caller's in E.164."""
        about = CallerFacts.of(caller, number, known=known)
        prepared = self._prepared[languages.choose(self._talk.languages, about.country or None)]
        if prepared.caller_template is None:
            return prepared.briefing
        try:
            text = prepared.caller_template.render({**prepared.values, "caller": about}).strip()
        except BadTemplate as bad:  # it worked for the samples; never lose a call over it
            log.warning("template not filled in", why=str(bad))
            return prepared.briefing
        before = "" if prepared.replaces_instructions else f"{prepared.briefing.instructions}\n\n"
        return replace(prepared.briefing, instructions=before + text)

    def by_language(self) -> Mapping[str, Briefing]:
        """Return the briefing for an unknown caller, by language."""
        return {language: prepared.briefing for language, prepared in self._prepared.items()}

    def _prepare(self, language: str, problems: dict[str, str]) -> _Prepared | None:
        talk = self._talk
        tools = Tools(talk.optional_tools, talk.places)
        values: dict[str, object] = {
            "name": talk.name,
            "language": languages.english_name(language),
            "languages": tuple(map(languages.english_name, talk.languages)),
            "dialed": talk.dialed,
            "destinations": talk.places,
            "hours": talk.hours,
            "tools": tools.names,
            "consent": disclosure.consent(language, transcribed=talk.transcribed, recorded=talk.recorded),
        }
        greeting = self._greeting(language, values, problems)
        values["greeting"] = greeting.greeting if greeting is not None else ""
        key, text, own = _template_for("instructions", talk.instructions, language)
        try:
            instructions = Template(text or template.built_in("instructions.md"), INSTRUCTIONS_VARIABLES)
            filled = [instructions.render({**values, "caller": each}) for each in SAMPLES]
        except BadTemplate as bad:
            problems[key] = str(bad)
            return None
        if greeting is None:
            return None
        replaces_instructions = "caller" in instructions.variables
        caller_template = instructions if replaces_instructions else None
        if not (own and text):
            caller_template = Template(template.built_in("caller.md"), INSTRUCTIONS_VARIABLES)
        briefing = replace(greeting, instructions=filled[0].strip(), tools=tools, keys=talk.keys)
        return _Prepared(briefing, values, caller_template, replaces_instructions)

    def _greeting(
        self, language: str, values: Mapping[str, object], problems: dict[str, str]
    ) -> Briefing | None:
        """Return a briefing with only the greeting set; None if its template cannot be used."""
        key, text, own = _template_for("greeting", self._talk.greeting or {}, language)
        if own and not text:
            return Briefing(language=language)
        known = {*template.greeting_languages()}
        there = languages.primary_subtag(language) in known
        if not own:
            text = template.built_in(f"greeting.{languages.primary_subtag(language) if there else 'en'}.txt")
        try:
            read = Template(text, GREETING_VARIABLES)
            said = " ".join(read.render(values).split())
        except BadTemplate as bad:
            problems[key] = str(bad)
            return None
        consent = str(values["consent"])
        if consent and "consent" not in read.variables:
            said = f"{said} {consent}"  # always tell callers, whoever wrote the greeting
        return Briefing(
            greeting=said,
            language=language,
            translated=not there and (not own or bool(consent)),
            uninterruptible=bool(consent),
        )


def _template_for(key: str, texts: Mapping[str, str], language: str) -> tuple[str, str, bool]:
    """Return the settings key and text of a language's template, and whether one is configured."""
    for name in (language, languages.primary_subtag(language)):
        if name in texts:
            return f"{key}.{name}", texts[name], True
    return key, texts.get("", ""), "" in texts
