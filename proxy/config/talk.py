"""How the agent talks to callers: keys of ``[screening]`` and ``[[number]]``.

Only `screening` knows the syntax of templates; `proxy.services.briefing_setup` has it check them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationInfo

from proxy.config import values
from proxy.config.keys import Line, Table, context_of
from proxy.config.problem import fault, shown
from proxy.config.tables import Found, Raw, read, tables

CONNECT, VOICEMAIL = "connect", "voicemail"
_KEY = re.compile(r"[0-9*#]")
MAX_LANGUAGES = 10

ByLanguage = Mapping[str, str]
"""Texts by language; the key ``""`` is for all other languages."""


def languages(value: object) -> tuple[str, ...]:
    """Validate the languages of a number: one, or a list."""
    written = value if isinstance(value, list) else [value]
    if not 0 < len(written) <= MAX_LANGUAGES:
        raise fault(f"a language such as en, or a list of at most {MAX_LANGUAGES}", shown(value))
    return tuple(dict.fromkeys(map(values.language, written)))


def texts(value: object, info: ValidationInfo) -> ByLanguage:
    """Return one text for all languages, or a text for each; each literal or as ``file:PATH``."""
    where = context_of(info)
    if not isinstance(value, dict):
        return {"": where.text(value)}
    return {values.language(language): where.text(text) for language, text in value.items()}


def keys(value: object) -> Mapping[str, str]:
    """Validate the table of telephone keys and their actions."""
    if not isinstance(value, dict):
        raise fault('a table such as { "0" = "connect", "9" = "voicemail" }', shown(value))
    for key, does in value.items():
        if not _KEY.fullmatch(key):
            raise fault("a key of the telephone: 0 to 9, * or #", shown(key))
        if not isinstance(does, str) or not does:
            raise fault("connect, voicemail, or the name of a destination", shown(does))
    return dict(value)


class Talk(Table):
    """How the agent talks. None: not set."""

    name: Line | None = None
    """The person or company that the agent answers for."""
    language: Annotated[tuple[str, ...], PlainValidator(languages)] = ()
    """The first is the default language of the number; empty: that of ``[speech]``."""
    greeting: Annotated[ByLanguage, PlainValidator(texts)] | None = None
    """Templates of the agent's first sentence; an empty one leaves it to the agent."""
    instructions: Annotated[ByLanguage, PlainValidator(texts)] | None = None
    """Templates of the agent's instructions, placed before those of the ``[[agent]]``."""
    tools: tuple[Literal["take_message", "request_connect", "end_call"], ...] | None = None
    """Tools besides the decision; names are those of `screening.talk.tools`. None: all but take_message."""
    consent: bool | None = None
    """False: the agent does not tell callers what is stored; setting it asserts that they know otherwise."""
    ask_if_there_s: Annotated[float, PlainValidator(values.seconds(0, 600))] | None = None
    """The agent asks whether the caller is still there after this much silence; 0: never."""
    keys_: Annotated[Mapping[str, str], PlainValidator(keys)] | None = Field(default=None, alias="keys")
    """Actions for keys that the caller presses."""

    def talk_overrides(self) -> dict[str, Any]:
        """Return the keys that this number sets, which override those of ``[screening]``."""
        return {key: given for key in Talk.model_fields if (given := getattr(self, key)) not in (None, ())}


class CommonTalk(Talk):
    """The same keys in ``[screening]``, with defaults."""

    consent: bool = True
    ask_if_there_s: Annotated[float, PlainValidator(values.seconds(0, 600))] = 8.0


def check(raw: Raw) -> Iterator[Found]:
    """Names of destinations are unique, and those that are referred to exist."""
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
    """The action of every key exists."""
    does = table.get("keys")
    for key, what in (does if isinstance(does, dict) else {}).items():
        if isinstance(what, str) and what and what not in (CONNECT, VOICEMAIL, *named):
            others = "".join(f", {name}" for name in named)
            yield f"{at}.keys.{key}", fault(f"one of {CONNECT}, {VOICEMAIL}{others}", shown(what))
