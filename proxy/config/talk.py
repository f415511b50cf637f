"""How callers are talked to: keys of ``[screening]`` and ``[[number]]``.

What stands in the templates only the screening can check (`proxy.services.briefing_setup` has it do so).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from proxy.config import values
from proxy.config.keys import Line, Table, where_of
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, read, tables

CONNECT, VOICEMAIL = "connect", "voicemail"
_KEY = re.compile(r"[0-9*#]")
MAX_LANGUAGES = 10

ByLanguage = Mapping[str, str]
"""Texts by language; ``""`` for all that are not named."""


def languages(value: object) -> tuple[str, ...]:
    """Return the languages of a number: one, or a list."""
    written = value if isinstance(value, list) else [value]
    if not 0 < len(written) <= MAX_LANGUAGES:
        raise fault(f"a language such as en, or a list of at most {MAX_LANGUAGES}", shown(value))
    return tuple(dict.fromkeys(map(values.language, written)))


def texts(value: object, info: ValidationInfo) -> ByLanguage:
    """Return a text for all languages, or a table of one for each; each may stand in a file."""
    where = where_of(info)
    if not isinstance(value, dict):
        return {"": where.text(value)}
    return {values.language(language): where.text(text) for language, text in value.items()}


def keys(value: object) -> Mapping[str, str]:
    """Return what the keys of the telephone do."""
    if not isinstance(value, dict):
        raise fault('a table such as { "0" = "connect", "9" = "voicemail" }', shown(value))
    for key, does in value.items():
        if not _KEY.fullmatch(key):
            raise fault("a key of the telephone: 0 to 9, * or #", shown(key))
        if not isinstance(does, str) or not does:
            raise fault("connect, voicemail, or the name of a destination", shown(does))
    return dict(value)


class Talk(Table):
    """How the agent talks. None: nothing is said."""

    name: Line | None = None
    """Whom the agent answers for."""
    language: Annotated[tuple[str, ...], PlainValidator(languages)] = ()
    """The first is the one of the number; empty: that of ``[speech]``."""
    greeting: Annotated[ByLanguage, PlainValidator(texts)] | None = None
    """Templates of what is said first; an empty text leaves it to the agent."""
    instructions: Annotated[ByLanguage, PlainValidator(texts)] | None = None
    """Templates of what the agent is told, before those of the ``[[agent]]``."""
    tools: tuple[Literal["take_message", "request_connect", "end_call"], ...] | None = None
    """Beside the decision; the words are those of `screening.talk.tools`. None: all but take_message."""
    consent: bool | None = None
    """False: callers are not told by the agent what is kept; whoever switches it off says that they know."""
    ask_if_there_s: Annotated[float, PlainValidator(values.seconds(0, 600))] | None = None
    """After so much silence the agent asks whether the caller is still there; 0: it does not."""
    keys_: Annotated[Mapping[str, str], PlainValidator(keys)] | None = Field(default=None, alias="keys")
    """What a key does that the caller presses."""

    def talk_over(self) -> dict[str, Any]:
        """What these keys, of a number, put in the place of those of ``[screening]``."""
        return {key: given for key in Talk.model_fields if (given := getattr(self, key)) not in (None, ())}


class TalkOfAll(Talk):
    """The same for all numbers, where something is to hold even if nothing is said."""

    consent: bool = True
    ask_if_there_s: Annotated[float, PlainValidator(values.seconds(0, 600))] = 8.0


def check(raw: Raw) -> Iterator[Found]:
    """Names are told apart, and what is named is there."""
    common = raw["screening"] if isinstance(raw.get("screening"), dict) else {}
    yield from _known("screening", common, ())
    for at, number in tables(raw, "number"):
        written = number.get("destinations")
        named: dict[str, str] = {}
        for i, place in enumerate(written if isinstance(written, list) else []):
            found = read(values.destination, place)
            if found is None or found.name is None:
                continue
            if found.name.casefold() in (*map(str.casefold, named), CONNECT, VOICEMAIL):
                expected = f"a name that no other has, and neither {CONNECT} nor {VOICEMAIL}"
                yield f"{at}.destinations[{i}]", fault(expected, shown(found.name))
            named[found.name] = at
        yield from _known(at, number, tuple(named))
        asked = number.get("tools")
        if isinstance(asked, list) and "request_connect" in asked and not named:
            expected = 'a destination with a name, as { name = "sales", to = "tel:+1…" }'
            yield f"{at}.destinations", fault(f"{expected} (request_connect needs one)", "none")


def _known(at: str, table: Raw, named: tuple[str, ...]) -> Iterator[Found]:
    """Every key does something that there is."""
    does = table.get("keys")
    for key, what in (does if isinstance(does, dict) else {}).items():
        if isinstance(what, str) and what and what not in (CONNECT, VOICEMAIL, *named):
            others = "".join(f", {name}" for name in named)
            yield f"{at}.keys.{key}", fault(f"one of {CONNECT}, {VOICEMAIL}{others}", shown(what))
